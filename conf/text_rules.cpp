#include "conf/text_rules.h"

#include "conf/ascii.h"
#include "conf/day_window.h"
#include "conf/digest.h"
#include "conf/directives.h"
#include "conf/quote.h"

#include <algorithm>
#include <array>

namespace tidepool::conf {

namespace {

constexpr std::size_t kPoolNameBytes = 63;
constexpr std::size_t kProfileNameBytes = 32;
constexpr std::size_t kFileNameBytes = 255;
// What a URL path may hold without being read as something else, or decoded, on its way to us.
constexpr std::array<std::string_view, 6> kNotInPrefix{"..", "//", "/./", "%", "?", "#"};
// Headers that no secret may be put into: the edge lets nobody set them (contracts: cloudflare.md
// 2.2), changes them, or makes something of them, as clients and we do; and some are logged.
constexpr std::array<std::string_view, 28> kTakenHeaders{
    "accept",     "authorization",  "cache-control", "cdn-loop",
    "connection", "cookie",         "date",          "dnt",
    "expect",     "forwarded",      "from",          "host",
    "keep-alive", "max-forwards",   "origin",        "pragma",
    "priority",   "range",          "referer",       "te",
    "trailer",    "true-client-ip", "upgrade",       "user-agent",
    "via",        "x-api-key",      "x-real-ip",     "transfer-encoding"};
constexpr std::array<std::string_view, 11> kTakenHeaderStarts{
    "accept-", "access-control-", "cf-",   "content-",    "if-", "proxy-", "sec-",
    "tus-",    "upload-",         "x-cf-", "x-forwarded-"};

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

std::string wrong_in_file(std::string_view text) {
    if (text.starts_with('/') && !text.ends_with('/') && !has_control_character(text)) return {};
    return "expected an absolute path of a file, not " + quote(text);
}

std::string wrong_in_log_path(std::string_view text) {
    if (text.empty() || text == "-" || wrong_in_file(text).empty()) return {};
    return "expected an absolute path of a file, \"-\" for standard output or \"\" for none, not " +
           quote(text);
}

std::string wrong_in_pool_name(std::string_view text) {
    const auto is_allowed = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
    if (!text.empty() && text.size() <= kPoolNameBytes && std::ranges::all_of(text, is_allowed))
        return {};
    return "expected 1 to 63 characters of a-z, 0-9 and \"-\", not " + quote(text);
}

std::string wrong_in_mirror(std::string_view text) {
    return text.empty() ? std::string() : wrong_in_pool_name(text);
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

std::string wrong_in_cache_tag(std::string_view text) {
    if (text == "image" || text == "pool" || text == "day") return {};
    return "expected \"image\", \"pool\" or \"day\", not " + quote(text);
}

// Contracts: cloudflare.md 4.
std::string wrong_in_cache_tag_prefix(std::string_view text) {
    constexpr std::size_t kMostBytes = 64;
    const auto is_allowed = [](char c) { return c > ' ' && c < 0x7f && c != ','; };
    if (text.size() <= kMostBytes && std::ranges::all_of(text, is_allowed)) return {};
    return "expected at most 64 visible characters of ASCII without a comma, such as \"tp-\", "
           "not " +
           quote(text);
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

std::string wrong_in_pin(std::string_view text) {
    if (parse_sha256(text)) return {};
    return "expected the SHA-256 of a public key as 64 hex digits, not " + quote(text);
}

std::string wrong_in_zone_id(std::string_view text) {
    constexpr std::size_t kDigits = 32;
    const auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
    if (text.empty() || (text.size() == kDigits && std::ranges::all_of(text, is_hex))) return {};
    return "expected the zone's id of 32 hex digits, not " + quote(text);
}

std::string wrong_in_secret_header(std::string_view text) {
    if (text.empty()) return {};
    // Others may get lost on the way (contracts: cloudflare.md 1.1).
    const auto is_carried = [](char c) {
        return is_digit(c) || is_lower(c) || is_upper(c) || c == '-' || c == '_';
    };
    if (!std::ranges::all_of(text, is_carried)) {
        return "expected the name of a header, of letters, digits, \"-\" and \"_\", such as "
               "\"X-Origin-Key\", not " +
               quote(text);
    }
    const std::string name = lower_case(text);
    const auto begins_it = [&](std::string_view start) { return name.starts_with(start); };
    if (std::ranges::find(kTakenHeaders, name) != kTakenHeaders.end() ||
        std::ranges::any_of(kTakenHeaderStarts, begins_it)) {
        return quote(text) +
               " has a meaning of its own, or is the edge's: take a name that nobody else uses, "
               "such as \"X-Origin-Key\"";
    }
    return {};
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

std::string wrong_in_base_path(std::string_view text) {
    return text.empty() ? "" : wrong_in_folder(text);
}

std::string wrong_in_marker(std::string_view text) {
    if (has_control_character(text)) return quote(text) + " holds a control character";
    const bool is_name = text != "." && text != ".." && text.find('/') == text.npos;
    if (is_name && text.size() <= kFileNameBytes) return {};
    return "expected the name of a file directly below base_path, such as \".mounted\", not " +
           quote(text);
}

std::string wrong_in_url(std::string_view text) {
    if (text.empty()) return {};
    std::string_view rest = text;
    if (rest.starts_with("https://")) {
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else {
        return "expected a URL such as \"https://images.example\", not " + quote(text);
    }
    const std::string_view host = rest.substr(0, rest.find('/'));
    if (host.empty()) return quote(text) + " has no host";
    if (host.find('@') != host.npos)
        return "a URL here holds no user or password (they would be shown)";
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != '\\' && c != '"'; };
    if (!std::ranges::all_of(rest, is_plain))
        return quote(text) + " holds a character that a URL has only encoded";
    if (rest.find_first_of("?#") != rest.npos)
        return quote(text) + " holds \"?\" or \"#\", which has no use here";
    return {};
}

std::string wrong_in_base_url(std::string_view text) {
    if (std::string wrong = wrong_in_url(text); !wrong.empty()) return wrong;
    if (text.ends_with('/'))
        return "a base URL does not end with \"/\": write " +
               quote(text.substr(0, text.find_last_not_of('/') + 1));
    return {};
}

std::string wrong_in_view_url(std::string_view text) {
    if (text.empty()) return {};
    if (text.find("{uuid}") == text.npos)
        return quote(text) + " does not say where the image's UUID goes: write {uuid} there";
    // A path of the site, or a URL of another one; with or without a query.
    std::string url(text.substr(0, text.find('?')));
    if (url.size() < text.size()) url += "/" + std::string(text.substr(url.size() + 1));
    return wrong_in_url(url.starts_with('/') ? "https://site" + url : url);
}

std::string wrong_in_origin(std::string_view text) {
    if (text == "*") return {};
    if (text.empty()) return R"(expected an origin such as "https://site.example", or "*")";
    // Browsers' extensions have schemes of their own.
    const std::size_t scheme = text.find("://");
    if (scheme == text.npos || scheme == 0 || scheme + 3 == text.size())
        return R"(expected an origin such as "https://site.example", or "*", not )" + quote(text);
    const std::string_view host = text.substr(scheme + 3);
    if (host.find_first_of("/?#@ ") != host.npos)
        return quote(text) + " is more than an origin: write scheme, host and port alone";
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != '"'; };
    if (!std::ranges::all_of(text, is_plain))
        return quote(text) + " holds a character that no origin has";
    return {};
}

// What both B2 and S3 take (contracts: b2-s3.md 4.6), so that a bucket can move.
std::string wrong_in_bucket(std::string_view text) {
    if (text.empty()) return {};
    constexpr std::size_t kLeast = 3;
    constexpr std::size_t kMost = 63;
    const std::string shown = quote(text);
    if (text.size() < kLeast || text.size() > kMost)
        return "a bucket's name has 3 to 63 characters, " + shown + " has not";
    const auto is_allowed = [](char c) {
        return is_lower(c) || is_digit(c) || c == '-' || c == '.';
    };
    if (!std::ranges::all_of(text, is_allowed))
        return "a bucket's name has only a-z, 0-9, \"-\" and \".\", " + shown + " has others";
    const auto is_edge = [](char c) { return is_lower(c) || is_digit(c); };
    if (!is_edge(text.front()) || !is_edge(text.back()))
        return "a bucket's name starts and ends with a letter or digit, " + shown + " does not";
    if (text.find("..") != text.npos) return shown + " holds \"..\", which no bucket's name may";
    if (text.starts_with("b2-")) return shown + " starts with \"b2-\", which B2 keeps for itself";
    if (std::ranges::all_of(text, [](char c) { return is_digit(c) || c == '.'; }) &&
        std::ranges::count(text, '.') == 3)
        return shown + " looks like an IPv4 address, which no bucket's name may";
    return {};
}

std::string wrong_in_region(std::string_view text) {
    const auto is_allowed = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
    if (std::ranges::all_of(text, is_allowed) && text.size() <= kPoolNameBytes) return {};
    return "expected a region such as \"us-west-001\", not " + quote(text);
}

std::string wrong_in_path_prefix(std::string_view text) {
    if (text.empty()) return {};
    if (std::string wrong = wrong_in_key_prefix(text); !wrong.empty()) return wrong;
    if (!text.ends_with('/'))
        return "expected a prefix that ends with \"/\", such as \"site-a/\", not " + quote(text);
    if (text == "uploads/" || text.starts_with("uploads/"))
        return "keys have \"uploads/\" at their start already: with this prefix they would be "
               "\"uploads/uploads/...\"; write \"\"";
    if (text.find("//") != text.npos || has_parent_step(text) || text.find("/./") != text.npos ||
        text.starts_with("./"))
        return quote(text) + " holds an empty, \".\" or \"..\" part";
    return {};
}

std::string wrong_in_quarantine_prefix(std::string_view text) {
    const auto is_allowed = [](char c) {
        return is_lower(c) || is_digit(c) || c == '-' || c == '_';
    };
    const std::string_view name = text.substr(0, text.size() - (text.ends_with('/') ? 1 : 0));
    if (text.ends_with('/') && !name.empty() && std::ranges::all_of(name, is_allowed)) return {};
    return "expected one name of letters, digits, \"-\" and \"_\" that ends with \"/\", such as "
           "\"quarantine/\", not " +
           quote(text);
}

std::string wrong_in_catalog_url(std::string_view text) {
    if (text.empty()) return {};
    if (text.starts_with("sqlite:/") && !text.ends_with('/') && !has_control_character(text))
        return {};
    if (text.starts_with("postgres:") || text.starts_with("postgresql:"))
        return "a catalog on PostgreSQL cannot be used yet: write \"sqlite:/PATH\"";
    return "expected \"sqlite:/PATH\" or \"\" for none, not " + quote(text);
}

std::string wrong_in_token(std::string_view text) {
    return is_http_token(text) ? "" : "expected one word, such as \"tidepool\", not " + quote(text);
}

std::string wrong_in_profile_name(std::string_view text) {
    const auto is_allowed = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
    if (text.size() <= kProfileNameBytes && std::ranges::all_of(text, is_allowed)) return {};
    return "expected up to 32 characters of a-z, 0-9 and \"-\", not " + quote(text);
}

std::string wrong_in_variant_format(std::string_view text) {
    static constexpr std::string_view kFormats[] = {"webp", "avif", "original", "jpeg",
                                                    "png",  "gif",  "jxl"};
    if (std::ranges::find(kFormats, text) != std::end(kFormats)) return {};
    return "expected \"webp\", \"avif\", \"original\", \"jpeg\", \"png\", \"gif\" or \"jxl\", "
           "not " +
           quote(text);
}

std::string wrong_in_original_format(std::string_view text) {
    static constexpr std::string_view kFormats[] = {"jpeg", "png", "gif", "webp", "avif"};
    if (std::ranges::find(kFormats, text) != std::end(kFormats)) return {};
    return "expected \"jpeg\", \"png\", \"gif\", \"webp\" or \"avif\", not " + quote(text);
}

std::string wrong_in_colour(std::string_view text) {
    const auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
    if (text.size() == 7 && text.front() == '#' && std::ranges::all_of(text.substr(1), is_hex))
        return {};
    return "expected a colour such as \"#ffffff\", not " + quote(text);
}

std::string wrong_in_day_window(std::string_view text) {
    if (text.empty() || parse_day_window(text)) return {};
    return "expected a time of the day such as \"22:00-06:00\" (UTC), or \"\" for always, not " +
           quote(text);
}

std::string wrong_in_line(std::string_view text) {
    return has_control_character(text) ? quote(text) + " holds a control character" : "";
}

}  // namespace tidepool::conf
