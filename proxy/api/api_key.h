// Keys of the API: what they look like, and what their holders may do.
#pragma once

#include "proxy/api/pool_json.h"
#include "storage/catalog.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::api {

// Nothing: as the settings say for all.
struct KeyLimits {
    std::optional<std::uint64_t> quota_bytes;     // of all that the owner has
    std::optional<std::uint64_t> max_size_bytes;  // of one file
    std::optional<unsigned> per_minute;           // sessions and uploads
    bool operator==(const KeyLimits&) const = default;
};

// As the catalog keeps them.
std::string text_of(const KeyLimits& limits);
// What text_of() gave; what cannot be read allows nothing more than the settings do.
KeyLimits read_limits(std::string_view text);

// Of one file of the key's holder: what the key says, as far as the settings allow it.
std::uint64_t most_bytes(const conf::UploadSettings& settings, const KeyLimits& limits);

// What somebody wants a key for, as it was written.
struct KeyWish {
    std::string owner{};
    std::string name{};
    std::string quota{};     // "5GiB"; "" = none
    std::string max_size{};  // the same
    std::string expires{};   // "30d", from now on; "" = never
    std::optional<std::int64_t> per_minute{};
};
inline constexpr std::size_t kMostOwnerBytes = 64;
inline constexpr std::size_t kMostKeyNameBytes = 200;
inline constexpr std::int64_t kMostKeyRate = 1'000'000;

// The record of such a key, but for its hash. The error names the field: owner, name, quota,
// max_size, rate or expires.
std::expected<storage::KeyRecord, FieldProblem> read_key_wish(const KeyWish& wish,
                                                              std::int64_t now_s);

// What an owner may have by the keys that are good: the largest quota of them; nothing where one of
// them has none, or the owner has no key here. Blocks on the catalog.
Result<std::optional<std::uint64_t>> quota_of(storage::Catalog& catalog, std::string_view owner,
                                              std::int64_t now_s);

// A key that nobody has or can guess: 256 bits of the system's randomness. It is shown once; the
// catalog has its digest.
std::string new_api_key();

// How a key is called where it must not be shown: the first digits of its digest.
std::string key_id(const storage::KeyRecord& key);

// Makes a key, puts it into the catalog, sets `record.hash` and gives the key itself. Errors are
// the catalog's.
Result<std::string> make_key(storage::Catalog& catalog, storage::KeyRecord& record);

// All keys of an owner, or of all owners (""), the oldest first, however many there are.
Result<std::vector<storage::KeyRecord>> all_keys(storage::Catalog& catalog,
                                                 const std::string& owner);

// Revokes the one good key whose id begins so, and gives its record; not_found where there is none,
// where there are several, and of less than four digits.
Result<storage::KeyRecord> revoke_key(storage::Catalog& catalog, std::string_view id,
                                      std::int64_t now_s);

// A key as it is shown, without what it is.
Json key_json(const storage::KeyRecord& key);

// Neither revoked nor expired.
bool is_good(const storage::KeyRecord& key, std::int64_t now_s);

}  // namespace tidepool::api
