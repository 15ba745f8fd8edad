#include "transform/image_walk.h"

#include "conf/ascii.h"
#include "transform/octets.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace tidepool::transform {

namespace {

using namespace std::string_view_literals;

template <class Table, class Value>
bool is_among(const Table& all, const Value& value) {
    return std::ranges::find(all, value) != all.end();
}

// ITU T.81, B.1.1.3: the markers without a segment, and those of frames.
constexpr std::uint8_t kJpegTemporary = 0x01;
constexpr std::uint8_t kJpegStart = 0xD8;
constexpr std::uint8_t kJpegEnd = 0xD9;
constexpr std::uint8_t kJpegScan = 0xDA;
bool is_jpeg_restart(std::uint8_t marker) {
    return marker >= 0xD0 && marker <= 0xD7;
}
bool is_jpeg_frame(std::uint8_t marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

}  // namespace

// Between segments anything is skipped up to the next marker, as decoders do: in a scan that is its
// pixels, with a zero behind each 0xFF of theirs, and elsewhere what careless programs left there.
std::string_view walk_jpeg(std::string_view file, const OnImagePart& on_part) {
    constexpr std::string_view kCut = "the JPEG is cut off";
    if (!file.starts_with("\xFF\xD8"sv)) return "the JPEG has no beginning";
    bool has_frame = false;
    bool has_scan = false;
    ImagePart part{"\xD8", file.substr(0, 2), {}};  // shown when it is known where it ends
    std::size_t begin = 0;
    std::size_t at = 2;
    while (true) {
        const std::size_t fill = file.find('\xFF', at);
        if (fill == file.npos) return kCut;
        at = file.find_first_not_of('\xFF', fill);  // T.81, B.1.1.2: any number of fill bytes
        if (at == file.npos) return kCut;
        const std::uint8_t marker = octet_at(file, at);
        ++at;
        if (marker == 0 || marker == kJpegTemporary || is_jpeg_restart(marker)) continue;
        if (part.name == "\xDA") part.bytes = file.substr(begin, fill - begin);
        on_part(part);
        begin = fill;
        part = {file.substr(at - 1, 1), file.substr(begin, at - begin), {}};
        if (marker == kJpegEnd) {
            if (!has_scan) return "the JPEG has no picture";
            on_part(part);
            return "";
        }
        if (marker == kJpegStart) return "the JPEG begins a second time within the first";
        if (file.size() - at < 2) return kCut;
        const std::uint64_t length = big_number(file, at, 2);
        if (length < 2) return "the JPEG has a segment of an impossible length";
        if (length > file.size() - at) return kCut;
        part.content = file.substr(at + 2, length - 2);
        at += length;
        part.bytes = file.substr(begin, at - begin);
        if (is_jpeg_frame(marker)) has_frame = true;
        if (marker != kJpegScan) continue;
        if (!has_frame) return "the JPEG has pixels before their size";
        has_scan = true;
    }
}

std::uint32_t png_checksum(std::string_view bytes) {
    std::uint32_t sum = 0xFFFFFFFF;
    for (const char c : bytes) {
        sum ^= static_cast<std::uint8_t>(c);
        for (int bit = 0; bit < 8; ++bit)
            sum = (sum & 1) != 0 ? sum >> 1 ^ 0xEDB88320 : sum >> 1;
    }
    return ~sum;
}

namespace {
bool is_letter(char c) {
    return conf::lower_case(c) >= 'a' && conf::lower_case(c) <= 'z';
}
}  // namespace

std::string_view walk_png(std::string_view file, const OnImagePart& on_part) {
    constexpr std::string_view kCut = "the PNG is cut off";
    constexpr std::string_view kSignature = "\x89PNG\r\n\x1A\n"sv;
    constexpr std::size_t kAround = 12;  // a chunk's length, name and checksum
    constexpr std::uint64_t kMostLength = 0x7FFFFFFF;
    constexpr std::uint64_t kHeaderLength = 13;
    if (!file.starts_with(kSignature)) return "the PNG has no beginning";
    bool has_pixels = false;
    on_part({"PNG", kSignature, {}});
    for (std::size_t at = kSignature.size();;) {
        if (file.size() - at < kAround) return kCut;
        const std::uint64_t length = big_number(file, at, 4);
        const std::string_view name = file.substr(at + 4, 4);
        if (length > kMostLength || !std::ranges::all_of(name, is_letter))
            return "the PNG has bytes where a chunk should begin";
        if (length > file.size() - at - kAround) return kCut;
        const bool is_first = at == kSignature.size();
        const bool is_last = name == "IEND";
        if (is_first != (name == "IHDR") || (is_first && length != kHeaderLength) ||
            (is_last && length != 0))
            return "the PNG's chunks are out of order";
        if (is_first || is_last) {
            const std::uint32_t sum = png_checksum(file.substr(at + 4, length + 4));
            if (sum != big_number(file, at + 8 + length, 4))
                return "the PNG's header or end is damaged";
        }
        on_part({name, file.substr(at, kAround + length), file.substr(at + 8, length)});
        if (is_last) return has_pixels ? ""sv : "the PNG has no picture"sv;
        if (name == "IDAT") has_pixels = true;
        at += kAround + length;
    }
}

namespace {

// GIF89a, 18 and 20: the bytes of the colour table that these flags announce.
std::size_t gif_table_bytes(std::uint8_t flags) {
    return (flags & 0x80) == 0 ? 0 : std::size_t{3} << ((flags & 7) + 1);
}

// GIF89a, 15 and 16: where the sub-blocks end that begin at `at`; npos where they do not.
std::size_t after_gif_blocks(std::string_view file, std::size_t at) {
    while (at < file.size()) {
        const std::uint8_t length = octet_at(file, at);
        at += std::size_t{1} + length;
        if (length == 0) return at;
    }
    return file.npos;
}

}  // namespace

std::string_view walk_gif(std::string_view file, const OnImagePart& on_part) {
    constexpr std::string_view kCut = "the GIF is cut off";
    constexpr std::size_t kHead = 13;      // signature and screen descriptor
    constexpr std::size_t kPicture = 10;   // its descriptor
    constexpr std::size_t kExtension = 2;  // introducer and label
    if (!file.starts_with("GIF87a") && !file.starts_with("GIF89a"))
        return "the GIF has no beginning";
    if (file.size() < kHead) return kCut;
    bool has_picture = false;
    std::size_t at = kHead + gif_table_bytes(octet_at(file, 10));
    on_part({"GIF", file.substr(0, at), {}});
    while (at < file.size()) {
        std::size_t name = 1;
        std::size_t end = at + 1;
        switch (file[at]) {
            case ';':
                on_part({file.substr(at, name), file.substr(at, name), {}});
                return has_picture ? ""sv : "the GIF has no picture"sv;
            case '\0':  // some programs leave a block's end too much
                break;
            case '!':
                name = kExtension;
                end = after_gif_blocks(file, at + kExtension);
                break;
            case ',':
                if (file.size() - at < kPicture) return kCut;
                // Behind the table is a byte of how long the codes are.
                end = after_gif_blocks(file,
                                       at + kPicture + gif_table_bytes(octet_at(file, at + 9)) + 1);
                has_picture = true;
                break;
            default:
                return "the GIF has bytes where a block should begin";
        }
        if (end == file.npos) return kCut;
        on_part({file.substr(at, name), file.substr(at, end - at),
                 file.substr(at + name, end - at - name)});
        at = end;
    }
    return kCut;
}

// RFC 9649, 2.
std::string_view walk_webp(std::string_view file, const OnImagePart& on_part) {
    constexpr std::size_t kFileHeadBytes = 12;  // "RIFF", length, "WEBP"
    constexpr std::size_t kChunkHeadBytes = 8;  // name, length
    if (!file.starts_with("RIFF") || file.size() < kFileHeadBytes || file.substr(8, 4) != "WEBP")
        return "the WebP has no beginning";
    const std::uint64_t length = little_number(file, 4, 4);
    if (length > file.size() - 8) return "the WebP is cut off";
    const std::string_view chunks = file.substr(0, 8 + length);
    bool has_picture = false;
    on_part({"RIFF head", file.substr(0, kFileHeadBytes), {}});
    // The last chunk's padding is missing from some files.
    for (std::size_t at = kFileHeadBytes; at < chunks.size();) {
        constexpr std::string_view kBeyond = "the WebP has a chunk that does not end in it";
        if (chunks.size() - at < kChunkHeadBytes) return kBeyond;
        const std::uint64_t content = little_number(chunks, at + 4, 4);
        if (content > chunks.size() - at - kChunkHeadBytes) return kBeyond;
        const std::string_view name = chunks.substr(at, 4);
        if (name == "VP8 " || name == "VP8L" || name == "ANMF") has_picture = true;
        const std::uint64_t whole = kChunkHeadBytes + content + content % 2;
        on_part({name, chunks.substr(at, whole), chunks.substr(at + kChunkHeadBytes, content)});
        at += whole;
    }
    return has_picture ? ""sv : "the WebP has no picture"sv;
}

BoxHead box_head_at(std::string_view bytes, std::size_t at) {
    constexpr std::size_t kLongBytes = 16;
    const std::size_t left = bytes.size() - at;
    const std::uint64_t length = big_number(bytes, at, 4);
    if (length == 0) return {BoxHead::kLeastBytes, left};
    if (length != 1) return {BoxHead::kLeastBytes, length};
    return {kLongBytes, left < kLongBytes ? kLongBytes : big_number(bytes, at + 8, 8)};
}

namespace {
// The boxes at the top of ISO/IEC 14496-12 that are found in images.
constexpr std::array kTopBoxes{"ftyp"sv, "meta"sv, "mdat"sv, "moov"sv, "moof"sv,
                               "free"sv, "skip"sv, "uuid"sv, "idat"sv};
}  // namespace

// Boxes do not say which is the last one. So once all are there that must be, one that has an
// unknown name and does not end in the file is taken for what somebody appended.
std::string_view walk_avif(std::string_view file, const OnImagePart& on_part) {
    constexpr std::string_view kCut = "the AVIF is cut off";
    bool has_meta = false;
    bool has_data = false;
    for (std::size_t at = 0; at < file.size();) {
        const std::size_t left = file.size() - at;
        const bool may_end = has_meta && has_data;
        if (left < BoxHead::kLeastBytes) return may_end ? ""sv : kCut;
        const std::string_view name = file.substr(at + 4, 4);
        const bool is_known = is_among(kTopBoxes, name);
        if ((at == 0) != (name == "ftyp") && !may_end) return "the AVIF has no beginning";
        const auto [head, length] = box_head_at(file, at);
        const bool fits = length >= head && length <= left;
        if (!fits && may_end && !is_known) return "";
        if (length < head) return "the AVIF has a box of an impossible length";
        if (!fits) return kCut;
        if (name == "meta") has_meta = true;
        if (name == "mdat") has_data = true;
        on_part({name, file.substr(at, length), file.substr(at + head, length - head)});
        at += length;
    }
    return has_meta && has_data ? ""sv : kCut;
}

namespace {

// What says where the pixels of a BMP are, and how many bytes they take.
struct BmpLayout {
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::uint64_t bits = 0;  // of a pixel
    std::uint64_t compression = 0;
    std::uint64_t compressed_bytes = 0;
};

std::int64_t signed_number(std::string_view file, std::size_t at) {
    return static_cast<std::int32_t>(little_number(file, at, 4));
}

// BITMAPCOREHEADER, or BITMAPINFOHEADER and what has come to it since; it is in the file.
BmpLayout bmp_layout(std::string_view file, std::uint64_t header_bytes) {
    constexpr std::uint64_t kCoreBytes = 12;
    if (header_bytes == kCoreBytes) {
        return {static_cast<std::int64_t>(little_number(file, 18, 2)),
                static_cast<std::int64_t>(little_number(file, 20, 2)), little_number(file, 24, 2),
                0, 0};
    }
    // Rows from the top down are told by a height below zero.
    return {signed_number(file, 18), std::abs(signed_number(file, 22)), little_number(file, 28, 2),
            little_number(file, 30, 4), little_number(file, 34, 4)};
}

}  // namespace

std::string_view walk_bmp(std::string_view file, const OnImagePart& on_part) {
    constexpr std::string_view kCut = "the BMP is cut off";
    constexpr std::size_t kFileHead = 14;
    constexpr std::array<std::uint64_t, 7> kHeaderBytes{12, 40, 52, 56, 64, 108, 124};
    constexpr std::array<std::uint64_t, 7> kDepths{1, 2, 4, 8, 16, 24, 32};
    constexpr std::array<std::uint64_t, 3> kUncompressed{0, 3, 6};  // RGB, with masks, with alpha
    if (!file.starts_with("BM")) return "the BMP has no beginning";
    if (file.size() < kFileHead + 4) return kCut;
    const std::uint64_t header_bytes = little_number(file, kFileHead, 4);
    if (!is_among(kHeaderBytes, header_bytes)) return "the BMP has an unknown header";
    const std::uint64_t offset = little_number(file, 10, 4);
    if (header_bytes > file.size() - kFileHead) return kCut;
    if (offset < kFileHead + header_bytes) return "the BMP's pixels lie within its header";
    const BmpLayout layout = bmp_layout(file, header_bytes);
    if (layout.width <= 0 || layout.height == 0) return "the BMP has no picture";
    if (offset >= file.size()) return kCut;
    on_part({"BM", file, {}});
    const std::uint64_t left = file.size() - offset;
    if (!is_among(kUncompressed, layout.compression)) {
        return layout.compressed_bytes > left ? kCut : ""sv;
    }
    if (!is_among(kDepths, layout.bits)) return "the BMP has pixels of an unknown kind";
    const std::uint64_t row_bytes =
        (static_cast<std::uint64_t>(layout.width) * layout.bits + 31) / 32 * 4;
    // Without multiplying: that can be too much for 64 bits.
    return left / row_bytes < static_cast<std::uint64_t>(layout.height) ? kCut : ""sv;
}

}  // namespace tidepool::transform
