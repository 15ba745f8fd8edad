// What image files are put together from by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidepool::test {

inline std::string number(std::uint64_t value, int count, bool big) {
    std::string text(static_cast<std::size_t>(count), '\0');
    for (int i = 0; i < count; ++i) {
        const int shift = 8 * (big ? count - 1 - i : i);
        text[static_cast<std::size_t>(i)] = static_cast<char>(value >> shift & 0xFF);
    }
    return text;
}
inline std::string big(std::uint64_t value, int count = 4) {
    return number(value, count, true);
}
inline std::string little(std::uint64_t value, int count = 4) {
    return number(value, count, false);
}

inline std::string box(std::string_view name, std::string_view content) {
    return big(8 + content.size()) + std::string(name) + std::string(content);
}
inline std::string webp_chunk(std::string_view name, std::string_view content) {
    std::string text = std::string(name) + little(content.size()) + std::string(content);
    return text.append(content.size() % 2, '\0');
}
inline std::string webp(const std::string& chunks) {
    return "RIFF" + little(4 + chunks.size()) + "WEBP" + chunks;
}

}  // namespace tidepool::test
