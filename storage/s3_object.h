// What an S3 answer's headers say about an object. Pure.
#pragma once

#include "storage/driver.h"
#include "storage/s3_http.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::storage {

// An ETag without its quotes.
std::string without_quotes(std::string_view etag);

// The MD5 that an ETag may be: 32 hex digits, and the content not encrypted with keys of another
// service. Nothing for those of multipart uploads.
std::optional<std::string> md5_in(const HttpAnswer& answer);

// Of a HEAD's or a whole GET's answer.
ObjectInfo object_of(std::string_view key, const HttpAnswer& answer);

struct ContentRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t total = 0;
};
// "bytes 0-9/100"; nothing for anything else, an unknown total included.
std::optional<ContentRange> parse_content_range(std::string_view text);

}  // namespace tidepool::storage
