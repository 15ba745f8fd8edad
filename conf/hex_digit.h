// One digit of a hexadecimal number.
#pragma once

namespace tidepool::conf {

// 0 to 15, in upper or lower case; -1 for what is no such digit.
constexpr int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace tidepool::conf
