#include "conf/text_rules.h"

#include "conf/directives.h"
#include "conf/quote.h"

#include <algorithm>
#include <array>

namespace tidepool::conf {

namespace {

constexpr std::size_t kPoolNameBytes = 63;
// What a URL path may hold without being read as something else, or decoded, on its way to us.
constexpr std::array<std::string_view, 6> kNotInPrefix{"..", "//", "/./", "%", "?", "#"};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

bool is_token_character(char c) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return is_digit(c) || is_lower(c) || is_upper(c) || kMarks.find(c) != kMarks.npos;
}

bool has_parent_step(std::string_view path) {
    return path == ".." || path.starts_with("../") || path.ends_with("/..") ||
           path.find("/../") != path.npos;
}

// "image/png", "image/*"; a single star is left to the callers.
bool is_type_range(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == text.npos || std::ranges::any_of(text, is_upper)) return false;
    const std::string_view type = text.substr(0, slash);
    const std::string_view subtype = text.substr(slash + 1);
    if (!is_http_token(type) || type.find('*') != type.npos) return false;
    return subtype == "*" || (is_http_token(subtype) && subtype.find('*') == subtype.npos);
}

}  // namespace

bool is_http_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, is_token_character);
}

std::string wrong_in_url_prefix(std::string_view text) {
    if (!text.starts_with('/') || !text.ends_with('/')) {
        return "expected a path that starts and ends with \"/\", such as \"/uploads/\", not " +
               quote(text);
    }
    for (const std::string_view part : kNotInPrefix) {
        if (text.find(part) != text.npos)
            return quote(text) + " holds " + quote(part) + ", which no prefix may";
    }
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != '\\'; };
    if (!std::ranges::all_of(text, is_plain))
        return quote(text) + " holds a character that a URL has only encoded";
    return {};
}

std::string wrong_in_folder(std::string_view text) {
    if (!text.starts_with('/'))
        return "expected an absolute path, such as \"/srv/uploads\", not " + quote(text);
    if (has_control_character(text)) return quote(text) + " holds a control character";
    if (has_parent_step(text)) return quote(text) + " holds \"..\": write where that leads";
    return {};
}

std::string wrong_in_log_path(std::string_view text) {
    if (text.empty() || text == "-") return {};
    if (text.starts_with('/') && !text.ends_with('/') && !has_control_character(text)) return {};
    return "expected an absolute path of a file, \"-\" for standard output or \"\" for none, not " +
           quote(text);
}

std::string wrong_in_pool_name(std::string_view text) {
    const auto is_allowed = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
    if (!text.empty() && text.size() <= kPoolNameBytes && std::ranges::all_of(text, is_allowed))
        return {};
    return "expected 1 to 63 characters of a-z, 0-9 and \"-\", not " + quote(text);
}

std::string wrong_in_key_prefix(std::string_view text) {
    if (text.starts_with('/'))
        return "keys have no \"/\" at their start: write " + quote(text.substr(1));
    if (has_control_character(text)) return quote(text) + " holds a control character";
    return {};
}

std::string wrong_in_status(std::string_view text) {
    if (text == "206" || text == "304") return "206 and 304 follow the rule of 200: write \"200\"";
    const bool right = text.size() == 3 && text[0] >= '1' && text[0] <= '5' &&
                       ((is_digit(text[1]) && is_digit(text[2])) || text.substr(1) == "xx");
    return right
               ? ""
               : "expected a status such as \"200\" or a class such as \"4xx\", not " + quote(text);
}

std::string wrong_in_media_range(std::string_view text) {
    if (text == "*" || is_type_range(text)) return {};
    return "expected a type in lower case such as \"image/png\", \"image/*\" or \"*\", not " +
           quote(text);
}

std::string wrong_in_content_type(std::string_view text) {
    if (text.empty() || is_type_range(text)) return {};
    return "expected a type in lower case such as \"image/png\" or \"image/*\", or \"\" for any, "
           "not " +
           quote(text);
}

std::string wrong_in_header_name(std::string_view text) {
    if (is_http_token(text)) return {};
    return "expected the name of a header, such as \"CF-Connecting-IP\", not " + quote(text);
}

std::string wrong_in_cache_control(std::string_view text) {
    const auto is_header_character = [](char c) { return (c >= ' ' && c < 0x7f) || c == '\t'; };
    if (!std::ranges::all_of(text, is_header_character)) {
        return quote(text) + " holds a character that no header value may";
    }
    return wrong_in_directives(text);
}

std::string wrong_in_cdn_cache_control(std::string_view text) {
    return text.empty() ? "" : wrong_in_cache_control(text);
}

}  // namespace tidepool::conf
