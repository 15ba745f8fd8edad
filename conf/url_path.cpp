#include "conf/url_path.h"

#include "conf/hex_digit.h"

#include <iterator>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

bool is_unreserved_in_path(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void append_escape(std::string& out, unsigned char byte) {
    fmt::format_to(std::back_inserter(out), "%{:02X}", byte);
}

void append_to_path(std::string& out, char c) {
    if (stands_in_path(c)) {
        out.push_back(c);
    } else {
        append_escape(out, static_cast<unsigned char>(c));
    }
}

}  // namespace

bool stands_in_path(char c) {
    return is_unreserved_in_path(c) || has_other_spelling(c);
}

bool has_other_spelling(char c) {
    return std::string_view("/!$&'()*+,;=:@").contains(c);
}

std::optional<std::string> normalised_path(std::string_view path) {
    std::string out;
    out.reserve(path.size());
    while (!path.empty()) {
        if (path.front() != '%') {
            append_to_path(out, path.front());
            path.remove_prefix(1);
            continue;
        }
        const auto byte = escaped_byte(path);
        if (!byte) return std::nullopt;
        if (is_unreserved_in_path(static_cast<char>(*byte))) {
            out.push_back(static_cast<char>(*byte));
        } else {
            append_escape(out, *byte);
        }
        path.remove_prefix(3);
    }
    return out;
}

std::string escaped_path(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text)
        append_to_path(out, c);
    return out;
}

bool is_spelt_plainly(std::string_view path) {
    const auto normal = normalised_path(path);
    if (!normal) return false;
    for (std::size_t at = normal->find('%'); at != normal->npos; at = normal->find('%', at + 1)) {
        const auto byte = escaped_byte(std::string_view(*normal).substr(at));
        if (has_other_spelling(static_cast<char>(*byte))) return false;
    }
    return true;
}

}  // namespace tidepool::conf
