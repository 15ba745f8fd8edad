// What the headers of tus 1.0 requests say. Pure.
#pragma once

#include "conf/error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::upload {

// Upload-Length and Upload-Offset: decimal digits, below 10^18; nothing for any other text.
std::optional<std::uint64_t> parse_tus_number(std::string_view text);

// Upload-Metadata (tus 1.0, Creation): the file name among it, without the folders of its sender;
// "" where it names none. `invalid` where it is not of the form "key base64,key base64", has a key
// twice or is too long, and where the name is not plain UTF-8; the text is fit for the client.
Result<std::string> file_name_in(std::string_view metadata);

// Upload-Checksum (tus 1.0, Checksum).
struct TusChecksum {
    enum class Algorithm : std::uint8_t { md5, sha1, sha256 };
    Algorithm algorithm = Algorithm::sha256;
    std::vector<std::uint8_t> digest;
};
// Tus-Checksum-Algorithm.
inline constexpr std::string_view kTusAlgorithms = "md5,sha1,sha256";
// Nothing where the algorithm is not one of those, or the digest is none of it.
std::optional<TusChecksum> parse_tus_checksum(std::string_view text);

}  // namespace tidepool::upload
