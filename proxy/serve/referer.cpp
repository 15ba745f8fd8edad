#include "proxy/serve/referer.h"

#include "conf/ascii.h"
#include "conf/host_pattern.h"

#include <algorithm>

namespace tidepool::serve {

namespace {

constexpr Referer kMalformed{Referer::Kind::malformed};
constexpr std::size_t kMostPortDigits = 5;

bool is_letter(char c) {
    const char low = conf::lower_case(c);
    return low >= 'a' && low <= 'z';
}

// RFC 3986, 3.1.
bool is_scheme(std::string_view text) {
    const auto may_follow = [](char c) {
        return is_letter(c) || conf::is_digit(c) || c == '+' || c == '-' || c == '.';
    };
    return !text.empty() && is_letter(text.front()) && std::ranges::all_of(text, may_follow);
}

bool is_web_scheme(std::string_view text) {
    const auto is = [text](std::string_view name) {
        return std::ranges::equal(text, name, {}, [](char c) { return conf::lower_case(c); });
    };
    return is("https") || is("http");
}

// RFC 3986, 3.2.1.
bool is_userinfo(std::string_view text) {
    constexpr std::string_view kMarks = "-._~!$&'()*+,;=:%";
    return std::ranges::all_of(text, [&](char c) {
        return is_letter(c) || conf::is_digit(c) || kMarks.find(c) != kMarks.npos;
    });
}

bool has_long_port(std::string_view authority) {
    const std::size_t colon = authority.rfind(':');
    return !authority.ends_with(']') && colon != authority.npos &&
           authority.size() - colon - 1 > kMostPortDigits;
}

}  // namespace

Referer read_referer(std::string_view value) {
    if (value.empty()) return {};
    const std::size_t colon = value.find(':');
    const std::string_view scheme = value.substr(0, colon);
    if (colon == value.npos || !is_scheme(scheme)) return kMalformed;
    if (!is_web_scheme(scheme)) return {};
    value.remove_prefix(colon + 1);
    if (!value.starts_with("//")) return kMalformed;
    value.remove_prefix(2);
    std::string_view authority = value.substr(0, value.find_first_of("/?#"));
    if (const std::size_t at = authority.find('@'); at != authority.npos) {
        if (!is_userinfo(authority.substr(0, at))) return kMalformed;
        authority.remove_prefix(at + 1);
    }
    if (has_long_port(authority)) return kMalformed;
    const std::string_view host = conf::host_of_authority(authority);
    // A star would be a pattern, and a second root's dot part of no name.
    if (host.starts_with('*') || host.ends_with('.')) return kMalformed;
    // An address in brackets has no root either, which host_of_authority() would take off.
    if (authority.starts_with('[') && authority.substr(host.size(), 1) == ".") return kMalformed;
    if (!conf::wrong_in_host_pattern(host).empty()) return kMalformed;
    return {Referer::Kind::page, host};
}

}  // namespace tidepool::serve
