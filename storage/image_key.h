// What a key says of the image it belongs to. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::storage {

using Uuid = std::array<std::uint8_t, 16>;

// The usual form, in lower case: 8-4-4-4-12 hex digits. Nothing for any other text.
std::optional<Uuid> parse_uuid(std::string_view text);
std::string to_text(const Uuid& uuid);

// What an object is to its image. The numbers stand in the catalog.
enum class Role : std::uint8_t {
    original = 0,
    variant = 1,  // derived from the original; can be made again
    backup = 2,   // a copy of an original in a backup pool; never served, counted apart
};
std::string_view name_of(Role role);

// The parts of PREFIX/original/YYYY/MM/DD/UUID.EXT and PREFIX/variants/YYYY/MM/DD/UUID_SIZE.EXT
// (contracts: pixelfox.md, Keys, paths and URLs). Every view is into the key.
struct ImageKey {
    Role role = Role::original;
    std::optional<Uuid> image;   // nothing: the file's name does not begin with a UUID
    std::string_view prefix;     // "uploads/", "": before "original/" or "variants/"
    std::string_view day;        // "2026/02/25"; "" where the key is not of that form
    std::string_view size;       // "small", "medium"; "" for full size
    std::string_view extension;  // "webp", without the point; "" where there is none
};

// Never fails: a key of another form is an original of its own, or a variant where one of its
// folders is called "variants". Backups are recognised by their pool, not by their key: below
// "images/" an object may just as well be an original of a host that keeps them there.
ImageKey parse_image_key(std::string_view key);

// Where the backup pool keeps an original: "images/YYYY/MM/DD/UUID.EXT". Nothing where the key is
// none of an original of that form.
std::optional<std::string> backup_key(std::string_view original_key);

// What the keys of all variants of this image begin with: "uploads/variants/2026/02/25/UUID".
// Nothing where the key is not of the form above.
std::optional<std::string> variants_prefix(std::string_view key);

}  // namespace tidepool::storage
