// Digits, letters and blanks as protocols count them, whatever the locale says.
#pragma once

#include <string>
#include <string_view>

namespace tidepool::conf {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr char lower_case(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr std::string lower_case(std::string_view text) {
    std::string lowered(text);
    for (char& c : lowered)
        c = lower_case(c);
    return lowered;
}

// Without blanks and tabs at its ends (OWS of RFC 9110, 5.6.3).
constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

}  // namespace tidepool::conf
