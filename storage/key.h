// From a URL's path to an object's key. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::storage {

// What B2 and S3 accept for a whole key and B2 for a segment (contracts: b2-s3.md 4.6), so that
// what is served from disk today can move to a bucket tomorrow.
inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr std::size_t kMaxSegmentBytes = 250;

enum class KeyVerdict : std::uint8_t {
    good,
    // No client that was given a proper URL sends this: a broken or doubled percent-encoding, an
    // encoded slash or NUL, a control character, a backslash, a "." or ".." segment, bytes that are
    // not UTF-8.
    malformed,
    // A proper path that names nothing we would serve: outside the prefix, a folder, an empty
    // segment, a hidden or temporary file, a name too long to exist.
    absent,
};

// Decodes `path` (without its query) exactly once and writes the key to `key`, replacing what it
// held; `prefix` is the URL prefix with both its slashes ("/uploads/"), which the key keeps without
// the first one ("uploads/a.jpg"). `key` is only meaningful after `good`.
KeyVerdict key_from_path(std::string_view path, std::string_view prefix, std::string& key);

// True where a URL can name the key; a key's own '%' is escaped for that.
bool is_servable_key(std::string_view key);

// True for a key whose file name starts with a lower-case UUID in its usual form, followed by '.'
// or '_': such a name is never given to other content, so its answers may be kept for ever
// (contracts: pixelfox.md).
bool is_uuid_named(std::string_view key);

// Names that programs give to files they are still writing or that editors leave behind. Never
// served.
bool is_temporary_name(std::string_view segment);

}  // namespace tidepool::storage
