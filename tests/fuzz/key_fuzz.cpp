// Whatever path comes: an accepted key stays inside its pool on any file system, and is what one
// decoding, and no more, makes of the path.
#include "storage/key.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using tidepool::storage::KeyVerdict;

void require(bool holds) {
    if (!holds) std::abort();
}

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c - 'A' + 10;
}

// Decodes a path that is known to be well-formed.
std::string decoded(std::string_view path) {
    std::string text;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] != '%') {
            text.push_back(path[i]);
            continue;
        }
        text.push_back(static_cast<char>(digit(path[i + 1]) * 16 + digit(path[i + 2])));
        i += 2;
    }
    return text;
}

// By the table of RFC 3629, section 4, byte by byte.
bool is_utf8(std::string_view text) {
    int more = 0;
    std::uint32_t code = 0;
    std::uint32_t least = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (more > 0) {
            if ((byte & 0xC0) != 0x80) return false;
            code = code << 6 | (byte & 0x3FU);
            if (--more == 0 &&
                (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)))
                return false;
        } else if (byte >= 0x80) {
            if ((byte & 0xE0) == 0xC0) {
                more = 1, least = 0x80, code = byte & 0x1FU;
            } else if ((byte & 0xF0) == 0xE0) {
                more = 2, least = 0x800, code = byte & 0x0FU;
            } else if ((byte & 0xF8) == 0xF0) {
                more = 3, least = 0x10000, code = byte & 0x07U;
            } else {
                return false;
            }
        }
    }
    return more == 0;
}

std::string encoded(std::string_view key) {
    static constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string path = "/";
    for (const char c : key) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '/') {
            path.push_back(c);
        } else {
            path.push_back('%');
            path.push_back(kHex[byte >> 4]);
            path.push_back(kHex[byte & 15]);
        }
    }
    return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace tidepool::storage;
    const std::string_view path(reinterpret_cast<const char*>(data), size);
    std::string key = "left over";
    const KeyVerdict verdict = key_from_path(path, "/uploads/", key);
    if (verdict != KeyVerdict::good) return 0;

    require(key == decoded(path.substr(1)));
    require(key.starts_with("uploads/") && key.size() > 8 && key.size() <= kMaxKeyBytes);
    require(is_utf8(key));
    for (const char c : key)
        require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F && c != '\\');
    for (std::size_t start = 0; start <= key.size();) {
        const std::size_t end = std::min(key.find('/', start), key.size());
        const std::string_view segment = std::string_view(key).substr(start, end - start);
        require(!segment.empty() && segment.front() != '.' && segment.size() <= kMaxSegmentBytes);
        require(!is_temporary_name(segment));
        start = end + 1;
    }
    // Encoding it, each byte, gives another path to the same key.
    std::string again;
    require(key_from_path(encoded(key), "/uploads/", again) == KeyVerdict::good && again == key);
    return 0;
}
