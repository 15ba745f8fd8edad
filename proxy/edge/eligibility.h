// Which paths the edge may store at all (contracts: cloudflare.md 3.1). Pure.
#pragma once

#include <string>
#include <string_view>

namespace tidepool::edge {

// Behind the last dot of the path's last name, in lower case; "" where there is none.
std::string extension_of(std::string_view path);

// On the edge's default list: it goes by the name alone and not by the type of the content.
bool is_default_extension(std::string_view extension);

// Of an image, and yet not on that list: .heic .heif .jxl .jp2 (section 0, rule 8).
bool is_unlisted_image(std::string_view extension);

}  // namespace tidepool::edge
