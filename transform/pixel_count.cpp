#include "transform/pixel_count.h"

#include "transform/bitmap.h"
#include "transform/content_type.h"
#include "transform/octets.h"

namespace tidepool::transform {

namespace {

// ITU T.81, B.2.2: marker, length, precision, lines, samples of a line.
constexpr std::size_t kFrameHead = 9;
// A segment has at most 64 KiB, so these are 32 MiB of metadata.
constexpr int kMostSegments = 512;

bool is_frame(std::uint8_t marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// Where a decoder might go on otherwise than this does, the size counts as untold.
std::uint64_t of_jpeg(const ReadPart& read) {
    constexpr std::uint8_t kEnd = 0xD9;
    constexpr std::uint8_t kScan = 0xDA;
    constexpr std::uint8_t kFirstWithLength = 0xC0;
    std::uint64_t at = 2;
    for (int segment = 0; segment < kMostSegments; ++segment) {
        const std::string head = read(at, kFrameHead);
        if (head.size() < kFrameHead) return 0;
        const std::uint8_t marker = octet_at(head, 1);
        const std::uint64_t length = big_number(head, 2, 2);
        if (marker == kScan || marker == kEnd) return 0;
        const bool has_length = marker >= kFirstWithLength && (marker < 0xD0 || marker > 0xD8);
        if (octet_at(head, 0) != 0xFF || !has_length || marker == 0xFF || length < 2)
            return kUntoldPixels;
        if (is_frame(marker)) return big_number(head, 5, 2) * big_number(head, 7, 2);
        at += 2 + length;
    }
    return kUntoldPixels;
}

std::uint64_t of_png(std::string_view file) {
    constexpr std::size_t kSides = 16;
    if (file.size() < kSides + 8) return 0;
    return big_number(file, kSides, 4) * big_number(file, kSides + 4, 4);
}

std::uint64_t of_gif(std::string_view file) {
    constexpr std::size_t kSides = 6;
    if (file.size() < kSides + 4) return 0;
    return little_number(file, kSides, 2) * little_number(file, kSides + 2, 2);
}

// RFC 9649, 2.5 to 2.7; of the frame of a lossy one RFC 6386, 9.1.
std::uint64_t of_webp(std::string_view file) {
    constexpr std::size_t kContent = 20;
    constexpr std::uint64_t kSide = 0x3FFF;
    if (file.size() < kContent + 10) return 0;
    const std::string_view chunk = file.substr(12, 4);
    if (chunk == "VP8X") {
        return (little_number(file, kContent + 4, 3) + 1) *
               (little_number(file, kContent + 7, 3) + 1);
    }
    if (chunk == "VP8L") {
        const std::uint64_t sides = little_number(file, kContent + 1, 4);
        return ((sides & kSide) + 1) * ((sides >> 14 & kSide) + 1);
    }
    return (little_number(file, kContent + 6, 2) & kSide) *
           (little_number(file, kContent + 8, 2) & kSide);
}

std::uint64_t of_bitmap(std::string_view file) {
    const auto bitmap = Bitmap::open(file);
    if (!bitmap) return 0;
    return static_cast<std::uint64_t>(bitmap->width()) *
           static_cast<std::uint64_t>(bitmap->height());
}

}  // namespace

std::uint64_t pixel_count_of(std::string_view beginning, const ReadPart& read) {
    const std::string_view type = content_type_of(beginning);
    if (type == "image/jpeg") return of_jpeg(read);
    if (type == "image/png") return of_png(beginning);
    if (type == "image/gif") return of_gif(beginning);
    if (type == "image/webp") return of_webp(beginning);
    if (type == "image/bmp") return of_bitmap(beginning);
    return 0;
}

}  // namespace tidepool::transform
