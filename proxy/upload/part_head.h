// What stands before the content of a form: the request's Content-Type and the head of each part
// (RFC 7578, 4; RFC 2046, 5.1). Pure.
#pragma once

#include "conf/error.h"

#include <optional>
#include <string>
#include <string_view>

namespace tidepool::upload {

// The boundary that a Content-Type "multipart/form-data" names: 1 to 70 characters (RFC 2046,
// 5.1.1), as a token or in quotes. Nothing for any other text.
std::optional<std::string> boundary_of(std::string_view content_type);

// All text is UTF-8 without control characters.
struct PartHead {
    std::string name{};                      // of the form's field
    std::optional<std::string> file_name{};  // its last path component; "" where none was chosen
    std::string content_type{};              // as sent; "" where it was not (RFC 7578, 4.4)
    bool operator==(const PartHead&) const = default;
};

// Reads the lines of a head, each with its CRLF and the empty one at the end included. A file name
// written as UTF-8''TEXT (RFC 8187) counts more than the plain one; in both names %22 is a quote,
// as browsers write it. Anything else than one Content-Disposition of a form's field is invalid,
// and so are lines that go on in the next one, and contents in an encoding of mail.
Result<PartHead> read_part_head(std::string_view lines);

}  // namespace tidepool::upload
