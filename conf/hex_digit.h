// One digit of a hexadecimal number, and the byte that two of them escape in a URL.
#pragma once

#include <optional>
#include <string_view>

namespace tidepool::conf {

// 0 to 15, in upper or lower case; -1 for what is no such digit.
constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Of a text that starts with '%' (RFC 3986, 2.1); nothing where two such digits do not follow.
constexpr std::optional<unsigned char> escaped_byte(std::string_view text) {
    if (text.size() < 3) return std::nullopt;
    const int high = hex_value(text[1]);
    const int low = hex_value(text[2]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<unsigned char>(high * 16 + low);
}

}  // namespace tidepool::conf
