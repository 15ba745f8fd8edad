#include "transform/printable.h"

#include <algorithm>

namespace tidepool::transform {

namespace {

// The character that begins a text; 0 bytes where it is no UTF-8 (RFC 3629, 4).
struct FirstCharacter {
    char32_t code = 0;
    std::size_t bytes = 0;
};

FirstCharacter first_character(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80) return {lead, 1};
    const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
    char32_t code = lead & (0x7FU >> bytes);
    for (const char c : text.substr(1, bytes - 1)) {
        const auto next = static_cast<unsigned char>(c);
        if ((next & 0xC0U) != 0x80) return {};
        code = code << 6U | (next & 0x3FU);
    }
    constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
    return {code, bytes};
}

// Controls, separators of lines, what cannot be seen or turns the direction of writing, tags, and
// what stands for nothing.
bool is_unfit(char32_t code) {
    const auto within = [code](char32_t first, char32_t last) {
        return code >= first && code <= last;
    };
    return code < 0x20 || within(0x7F, 0x9F) || code == 0xAD || code == 0x61C ||
           within(0x200B, 0x200F) || within(0x2028, 0x202E) || within(0x2060, 0x206F) ||
           within(0xE000, 0xF8FF) || code == 0xFEFF || within(0xFFF0, 0xFFFB) ||
           (code & 0xFFFE) == 0xFFFE || within(0xFDD0, 0xFDEF) || code >= 0xE0000;
}

std::string_view without_blanks(std::string_view text) {
    const std::size_t first = text.find_first_not_of(' ');
    if (first == text.npos) return "";
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::string printable_text(std::string_view bytes, std::size_t most_bytes) {
    std::string text;
    bytes = without_blanks(bytes);
    while (!bytes.empty()) {
        const FirstCharacter first = first_character(bytes);
        const std::size_t length = std::max<std::size_t>(first.bytes, 1);
        const bool is_fit = first.bytes > 0 && !is_unfit(first.code);
        const std::string_view shown = is_fit ? bytes.substr(0, length) : "?";
        if (text.size() + shown.size() > most_bytes) break;
        text += shown;
        bytes.remove_prefix(length);
    }
    return std::string(without_blanks(text));
}

}  // namespace tidepool::transform
