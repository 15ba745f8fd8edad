// Every path gets the verdict that its words in storage/key.h describe, and a key that is accepted
// is one name of one file.
#include "storage/key.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace tidepool::storage;
using tidepool::fuzz::check;

namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";

std::optional<unsigned> hex_value(char c) {
    const std::size_t at = kHex.find(c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c);
    if (at == std::string_view::npos) return std::nullopt;
    return static_cast<unsigned>(at);
}

// Once; nothing where an escape is broken or hides a slash.
std::optional<std::string> decoded(std::string_view path) {
    std::string out;
    while (!path.empty()) {
        const std::size_t escape = std::min(path.find('%'), path.size());
        out += path.substr(0, escape);
        path.remove_prefix(escape);
        if (path.empty()) break;
        const auto high = path.size() > 2 ? hex_value(path[1]) : std::nullopt;
        const auto low = path.size() > 2 ? hex_value(path[2]) : std::nullopt;
        if (!high || !low || *high * 16 + *low == '/') return std::nullopt;
        out += static_cast<char>(*high * 16 + *low);
        path.remove_prefix(3);
    }
    return out;
}

// By code points: each is decoded and must be the shortest form of one that exists.
bool is_utf8(std::string_view text) {
    static constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
    while (!text.empty()) {
        const auto lead = static_cast<unsigned char>(text.front());
        const std::size_t bytes = lead < 0x80            ? 1U
                                  : (lead >> 5U) == 0x06 ? 2U
                                  : (lead >> 4U) == 0x0E ? 3U
                                  : (lead >> 3U) == 0x1E ? 4U
                                                         : 0U;
        if (bytes == 0 || bytes > text.size()) return false;
        std::uint32_t point = bytes == 1 ? lead : lead & (0x7FU >> bytes);
        for (std::size_t i = 1; i < bytes; ++i) {
            const auto next = static_cast<unsigned char>(text[i]);
            if ((next >> 6U) != 2) return false;
            point = (point << 6U) | (next & 0x3FU);
        }
        const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
        if (point < kLeast[bytes] || point > 0x10FFFF || surrogate) return false;
        text.remove_prefix(bytes);
    }
    return true;
}

std::vector<std::string_view> segments(std::string_view key) {
    std::vector<std::string_view> all;
    while (true) {
        const std::size_t slash = key.find('/');
        all.push_back(key.substr(0, slash));
        if (slash == std::string_view::npos) return all;
        key.remove_prefix(slash + 1);
    }
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
}

KeyVerdict expected_verdict(std::string_view path, std::string_view prefix) {
    if (!path.starts_with('/')) return KeyVerdict::malformed;
    const auto text = decoded(path);
    if (!text || !is_utf8(*text)) return KeyVerdict::malformed;
    if (std::ranges::any_of(*text, [](char c) { return is_control(c) || c == '\\'; }))
        return KeyVerdict::malformed;
    const auto parts = segments(std::string_view(*text).substr(1));
    if (std::ranges::any_of(parts, [](auto part) { return part == "." || part == ".."; }))
        return KeyVerdict::malformed;
    const bool unservable = std::ranges::any_of(parts, [](auto part) {
        return part.empty() || part.starts_with('.') || part.size() > kMaxSegmentBytes ||
               is_temporary_name(part);
    });
    if (unservable || !text->starts_with(prefix) || text->size() - 1 > kMaxKeyBytes)
        return KeyVerdict::absent;
    return KeyVerdict::good;
}

// As a path that escapes everything that may be escaped.
std::string escaped(std::string_view key) {
    std::string path = "/";
    for (const char c : key) {
        if (c == '/') {
            path += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        path += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
    return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view path(reinterpret_cast<const char*>(data), size);
    for (const std::string_view prefix : {"/", "/uploads/", "/a b/c/"}) {
        std::string key = "left over";
        const KeyVerdict verdict = key_from_path(path, prefix, key);
        check(verdict == expected_verdict(path, prefix));
        if (verdict != KeyVerdict::good) continue;
        check("/" + key == decoded(path));
        check(std::ranges::count(key, '/') + 1 == std::ranges::count(path, '/'));
        // The other spelling of the same name has the same key.
        std::string again;
        check(key_from_path(escaped(key), prefix, again) == KeyVerdict::good);
        check(again == key);
        if (is_uuid_named(key)) {
            const std::string_view name = segments(key).back();
            check(name.size() > 36 && name.find_first_not_of("0123456789abcdef-") == 36);
        }
    }
    return 0;
}
