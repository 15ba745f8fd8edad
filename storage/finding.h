// What a comparison of catalog and store can find, and how one row is compared with one object.
// Pure.
#pragma once

#include "storage/catalog_records.h"
#include "storage/driver.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::storage {

enum class FindingKind : std::uint8_t {
    missing_object,   // the row names this pool, which has no such object
    unknown_object,   // there is an object, and no row of its key
    elsewhere,        // there is an object, and its row names another pool
    wrong_size,       // row and object have different sizes
    wrong_hash,       // row and object are of one size and different content
    stale_row,        // the content is right, but the row has another ETag or version
    late_variant,     // a variant here, whose image lives in another pool
    hidden_version,   // the store keeps versions or markers behind, or over, the object
    stray_upload,     // an upload in parts that nobody ended
    stray_temporary,  // a temporary file that nobody ended
};
inline constexpr std::size_t kFindingKinds = 10;
inline constexpr std::array<FindingKind, kFindingKinds> kAllFindings{
    FindingKind::missing_object, FindingKind::unknown_object, FindingKind::elsewhere,
    FindingKind::wrong_size,     FindingKind::wrong_hash,     FindingKind::stale_row,
    FindingKind::late_variant,   FindingKind::hidden_version, FindingKind::stray_upload,
    FindingKind::stray_temporary};

// "missing_object", for programs: it does not change.
std::string_view name_of(FindingKind kind);

struct Finding {
    FindingKind kind = FindingKind::missing_object;
    std::string key{};
    std::uint64_t bytes = 0;  // of the object or the row; of hidden versions all together
};

// Whether an object is what its row says.
enum class Match : std::uint8_t {
    same,
    stale_row,
    wrong_size,
    wrong_hash,
    // Of one size and with other ETags. An ETag follows from how an object was uploaded too, so
    // only the content can tell.
    unsure,
};
// By what is known of both: the SHA-256 where both have it, else ETags and versions.
Match compare(const ObjectRecord& row, const ObjectInfo& object);

}  // namespace tidepool::storage
