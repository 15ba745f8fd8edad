#include "storage/image_key.h"

#include <algorithm>
#include <cstddef>

namespace tidepool::storage {

namespace {

constexpr std::size_t kUuidBytes = 36;  // as text
constexpr std::size_t kDayBytes = 10;

int lower_hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool is_dash_place(std::size_t i) {
    return i == 8 || i == 13 || i == 18 || i == 23;
}

// "2026/02/25", by its form alone: which days a month has does not matter to where a file stands.
bool is_day(std::string_view text) {
    if (text.size() != kDayBytes) return false;
    for (std::size_t i = 0; i < kDayBytes; ++i) {
        const bool slash_place = i == 4 || i == 7;
        if (slash_place ? text[i] != '/' : text[i] < '0' || text[i] > '9') return false;
    }
    return true;
}

bool has_folder(std::string_view folders, std::string_view name) {
    while (!folders.empty()) {
        const std::size_t end = folders.find('/');
        if (folders.substr(0, end) == name) return true;
        if (end == folders.npos) break;
        folders.remove_prefix(end + 1);
    }
    return false;
}

// Reads "UUID_SIZE.EXT" and its shorter forms.
void read_name(std::string_view name, ImageKey& key) {
    if (const std::size_t point = name.rfind('.'); point != name.npos && point > 0) {
        key.extension = name.substr(point + 1);
        name = name.substr(0, point);
    }
    const std::string_view rest = name.substr(std::min(name.size(), kUuidBytes));
    if (!rest.empty() && rest.front() != '_') return;
    key.image = parse_uuid(name.substr(0, kUuidBytes));
    if (key.image && !rest.empty()) key.size = rest.substr(1);
}

// Takes "/2026/02/25/" off the end of `folders`, leaving "PREFIX/original".
std::string_view take_day(std::string_view& folders) {
    if (folders.size() < kDayBytes + 2) return {};
    const std::string_view day = folders.substr(folders.size() - kDayBytes - 1, kDayBytes);
    const std::size_t before = folders.size() - kDayBytes - 2;
    if (!is_day(day) || folders[before] != '/') return {};
    folders = folders.substr(0, before);
    return day;
}

}  // namespace

std::optional<Uuid> parse_uuid(std::string_view text) {
    if (text.size() != kUuidBytes) return std::nullopt;
    Uuid uuid{};
    std::size_t digits = 0;
    for (std::size_t i = 0; i < kUuidBytes; ++i) {
        if (is_dash_place(i)) {
            if (text[i] != '-') return std::nullopt;
            continue;
        }
        const int value = lower_hex_value(text[i]);
        if (value < 0) return std::nullopt;
        uuid[digits / 2] = static_cast<std::uint8_t>(uuid[digits / 2] << 4 | value);
        ++digits;
    }
    return uuid;
}

std::string to_text(const Uuid& uuid) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    text.reserve(kUuidBytes);
    for (const std::uint8_t byte : uuid) {
        if (is_dash_place(text.size())) text.push_back('-');
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

std::string_view name_of(Role role) {
    switch (role) {
        case Role::original:
            return "original";
        case Role::variant:
            return "variant";
        case Role::backup:
            return "backup";
    }
    return "unknown";
}

ImageKey parse_image_key(std::string_view key) {
    ImageKey parsed;
    const std::size_t name_start = key.rfind('/') + 1;  // npos + 1 is 0: no folder at all
    read_name(key.substr(name_start), parsed);
    std::string_view folders = key.substr(0, name_start);
    if (has_folder(folders, "variants")) parsed.role = Role::variant;
    const std::string_view day = take_day(folders);
    if (day.empty() || !parsed.image) return parsed;
    const std::size_t kind_start = folders.rfind('/') + 1;
    const std::string_view kind = folders.substr(kind_start);
    if (kind != "original" && kind != "variants") return parsed;
    parsed.role = kind == "variants" ? Role::variant : Role::original;
    parsed.prefix = folders.substr(0, kind_start);
    parsed.day = day;
    return parsed;
}

std::optional<std::string> backup_key(std::string_view original_key) {
    const ImageKey parsed = parse_image_key(original_key);
    if (parsed.day.empty() || parsed.role != Role::original || !parsed.size.empty()) {
        return std::nullopt;
    }
    std::string key = "images/";
    key += parsed.day;
    key += original_key.substr(original_key.rfind('/'));
    return key;
}

std::optional<std::string> variants_prefix(std::string_view key) {
    const ImageKey parsed = parse_image_key(key);
    if (parsed.day.empty()) return std::nullopt;
    std::string prefix(parsed.prefix);
    prefix += "variants/";
    prefix += parsed.day;
    prefix += '/';
    prefix += to_text(*parsed.image);
    return prefix;
}

}  // namespace tidepool::storage
