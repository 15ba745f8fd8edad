#include "transform/worker/webp_file.h"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace tidepool::transform {

namespace {

constexpr std::size_t kFileHead = 12;  // "RIFF", length, "WEBP"
constexpr std::size_t kChunkHead = 8;  // name, length
constexpr std::size_t kExtendedHead = kChunkHead + 10;
// Flags of the extended header.
constexpr unsigned char kProfile = 0x20;
constexpr unsigned char kExif = 0x08;
constexpr unsigned char kXmp = 0x04;

std::uint32_t u32_at(std::span<const char> bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i-- > 0;)
        value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

void set_u32(std::span<char> bytes, std::size_t at, std::size_t value) {
    for (std::size_t i = 0; i < 4; ++i)
        bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xFF);
}

std::string_view name_at(std::span<const char> bytes, std::size_t at) {
    return {bytes.data() + at, 4};
}

bool is_metadata(std::string_view name) {
    return name == "EXIF" || name == "XMP " || name == "ICCP";
}

// The length of the chunk at `at` with its head and padding; 0 where it is cut.
std::size_t chunk_bytes(std::span<const char> file, std::size_t at) {
    if (file.size() - at < kChunkHead) return 0;
    const std::size_t content = u32_at(file, at + 4);
    const std::size_t whole = kChunkHead + content + content % 2;
    return whole <= file.size() - at ? whole : 0;
}

bool is_whole(std::span<const char> file) {
    if (file.size() < kFileHead + kExtendedHead || name_at(file, 0) != "RIFF" ||
        name_at(file, 8) != "WEBP" || name_at(file, kFileHead) != "VP8X")
        return false;
    for (std::size_t at = kFileHead; at < file.size();) {
        const std::size_t bytes = chunk_bytes(file, at);
        if (bytes == 0) return false;
        at += bytes;
    }
    return true;
}

}  // namespace

std::size_t drop_webp_metadata(std::span<char> file) {
    if (!is_whole(file)) return file.size();
    char& flags = file[kFileHead + kChunkHead];
    flags = static_cast<char>(static_cast<unsigned char>(flags) & ~(kProfile | kExif | kXmp));
    const bool keeps_head = flags != 0;
    std::size_t end = kFileHead;
    for (std::size_t at = kFileHead; at < file.size();) {
        const std::size_t bytes = chunk_bytes(file, at);
        const std::string_view name = name_at(file, at);
        if (!is_metadata(name) && (keeps_head || name != "VP8X")) {
            std::memmove(file.data() + end, file.data() + at, bytes);
            end += bytes;
        }
        at += bytes;
    }
    set_u32(file, 4, end - 8);
    return end;
}

}  // namespace tidepool::transform
