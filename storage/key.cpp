#include "storage/key.h"

#include "conf/hex_digit.h"
#include "conf/utf8.h"

#include <algorithm>
#include <array>

namespace tidepool::storage {

namespace {

bool is_lower_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// What stands in a path as it is: visible ASCII and the blank, but for the two that are looked at.
constexpr std::array<bool, 256> plain_table() {
    std::array<bool, 256> table{};
    for (std::size_t c = 0x20; c < 0x7F; ++c)
        table[c] = c != '%' && c != '\\';
    return table;
}
constexpr std::array<bool, 256> kPlain = plain_table();

bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return kPlain[static_cast<unsigned char>(c)]; });
}

bool decode(std::string_view path, std::string& out) {
    out.clear();
    out.reserve(path.size());
    for (std::size_t i = 0; i < path.size(); ++i) {
        char c = path[i];
        if (c == '%') {
            const auto escaped = conf::escaped_byte(path.substr(i));
            if (!escaped) return false;
            c = static_cast<char>(*escaped);
            if (c == '/') return false;
            i += 2;
        }
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7F || c == '\\') return false;
        out.push_back(c);
    }
    return true;
}

// What stands between two slashes. `malformed` beats `absent`, so the caller looks at every
// segment.
KeyVerdict judge_segment(std::string_view segment) {
    if (segment == "." || segment == "..") return KeyVerdict::malformed;
    if (segment.empty() || segment.front() == '.') return KeyVerdict::absent;
    if (segment.size() > kMaxSegmentBytes || is_temporary_name(segment)) return KeyVerdict::absent;
    return KeyVerdict::good;
}

}  // namespace

bool is_temporary_name(std::string_view segment) {
    static constexpr std::array<std::string_view, 8> kSuffixes{
        "~", ".tmp", ".temp", ".part", ".partial", ".swp", ".filepart", ".crdownload"};
    if (segment.empty() || std::string_view("~pltd").find(segment.back()) == segment.npos)
        return false;
    for (const std::string_view suffix : kSuffixes) {
        if (segment.ends_with(suffix)) return true;
    }
    return false;
}

KeyVerdict key_from_path(std::string_view path, std::string_view prefix, std::string& key) {
    if (path.empty() || path.front() != '/') return KeyVerdict::malformed;
    path.remove_prefix(1);
    if (is_plain(path)) {
        key.assign(path);
    } else if (!decode(path, key) || !conf::is_utf8(key)) {
        return KeyVerdict::malformed;
    }
    KeyVerdict verdict = KeyVerdict::good;
    std::size_t start = 0;
    while (start <= key.size()) {
        const std::size_t end = std::min(key.find('/', start), key.size());
        const KeyVerdict segment = judge_segment(std::string_view(key).substr(start, end - start));
        if (segment == KeyVerdict::malformed) return segment;
        if (segment == KeyVerdict::absent) verdict = segment;
        start = end + 1;
    }
    const std::string_view kept_prefix = prefix.substr(1);
    if (!key.starts_with(kept_prefix) || key.size() == kept_prefix.size())
        return KeyVerdict::absent;
    if (key.size() > kMaxKeyBytes) return KeyVerdict::absent;
    return verdict;
}

bool is_servable_key(std::string_view key) {
    std::string path = "/";
    for (const char c : key)
        c == '%' ? path += "%25" : path += c;
    std::string decoded;
    return key_from_path(path, "/", decoded) == KeyVerdict::good;
}

bool is_uuid_named(std::string_view key) {
    static constexpr std::size_t kUuidBytes = 36;
    const std::string_view name = key.substr(key.rfind('/') + 1);  // npos + 1 is 0: the whole key
    if (name.size() <= kUuidBytes || (name[kUuidBytes] != '.' && name[kUuidBytes] != '_'))
        return false;
    for (std::size_t i = 0; i < kUuidBytes; ++i) {
        const bool dash_place = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash_place ? name[i] != '-' : !is_lower_hex(name[i])) return false;
    }
    return true;
}

}  // namespace tidepool::storage
