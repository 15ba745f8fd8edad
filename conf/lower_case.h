// Lower case of ASCII, whatever the locale says: what protocols compare and signatures depend on.
#pragma once

#include <string>
#include <string_view>

namespace tidepool::conf {

constexpr char lower_case(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr std::string lower_case(std::string_view text) {
    std::string lowered(text);
    for (char& c : lowered)
        c = lower_case(c);
    return lowered;
}

}  // namespace tidepool::conf
