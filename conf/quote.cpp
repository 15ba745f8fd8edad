#include "conf/quote.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

constexpr std::size_t kQuotedBytes = 80;

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// The first bytes of UTF-8 text, at most `limit`, without half a character at the end.
std::string_view first_bytes(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text;
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return text.substr(0, end);
}

}  // namespace

bool has_control_character(std::string_view text) {
    return std::ranges::any_of(text, is_control);
}

std::string printable(std::string_view text) {
    std::string shown;
    for (const char c : text) {
        if (c == '\n') {
            shown += "\\n";
        } else if (c == '\t') {
            shown += "\\t";
        } else if (is_control(c)) {
            shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
            shown += c;
        }
    }
    return shown;
}

std::string quote(std::string_view text) {
    const std::string_view shown = first_bytes(text, kQuotedBytes);
    return "\"" + printable(shown) + (shown.size() < text.size() ? "..." : "") + "\"";
}

void hide(std::string& text, std::string_view secret) {
    constexpr std::string_view kHidden = "***";
    if (secret.empty()) return;
    for (std::size_t at = 0; (at = text.find(secret, at)) != text.npos; at += kHidden.size())
        text.replace(at, secret.size(), kHidden);
}

}  // namespace tidepool::conf
