#include "transform/bitmap.h"

#include <algorithm>
#include <bit>
#include <limits>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

constexpr std::size_t kFileHeaderBytes = 14;
constexpr std::size_t kCoreHeaderBytes = 12;
constexpr std::size_t kInfoHeaderBytes = 40;
constexpr std::size_t kMasksAt = kFileHeaderBytes + kInfoHeaderBytes;  // in or behind the header
// Of libvips, VIPS_MAX_COORD; a pixel count has limits of its own.
constexpr std::int32_t kLongestSide = 10'000'000;

// Values of biCompression.
constexpr std::uint32_t kUncompressed = 0;
constexpr std::uint32_t kByMasks = 3;
constexpr std::uint32_t kByMasksWithAlpha = 6;

bool is_one_stretch(std::uint32_t mask) {
    const std::uint32_t bits = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    return (bits & (bits + 1)) == 0;
}

}  // namespace

Result<Bitmap> Bitmap::open(std::span<const char> bytes) {
    Bitmap bitmap;
    bitmap.bytes_ = bytes;
    const std::size_t header_bytes = bitmap.number(kFileHeaderBytes, 4);
    const bool is_core = header_bytes == kCoreHeaderBytes;
    const bool is_whole = bytes.size() > kFileHeaderBytes && bytes[0] == 'B' && bytes[1] == 'M' &&
                          (is_core || (header_bytes >= kInfoHeaderBytes && header_bytes <= 128)) &&
                          bytes.size() >= kFileHeaderBytes + header_bytes;
    if (!is_whole) return fail(ErrorKind::corrupt, "decode: bmp: no header");
    bitmap.pixels_at_ = bitmap.number(10, 4);
    if (!bitmap.read_form(header_bytes)) {
        return fail(ErrorKind::corrupt,
                    fmt::format("decode: bmp: {} x {} pixels of {} bits, compression {}",
                                bitmap.width_, bitmap.height_, bitmap.bits_,
                                is_core ? kUncompressed : bitmap.number(30, 4)));
    }
    return bitmap;
}

bool Bitmap::read_form(std::size_t header_bytes) {
    const bool is_core = header_bytes == kCoreHeaderBytes;
    std::uint32_t compression = kUncompressed;
    if (is_core) {
        width_ = static_cast<int>(number(18, 2));
        height_ = static_cast<int>(number(20, 2));
        bits_ = number(24, 2);
    } else {
        width_ = static_cast<std::int32_t>(number(18, 4));
        height_ = static_cast<std::int32_t>(number(22, 4));
        bits_ = number(28, 2);
        compression = number(30, 4);
        from_top_ = height_ < 0;
        if (height_ == std::numeric_limits<std::int32_t>::min()) return false;
        height_ = height_ < 0 ? -height_ : height_;
    }
    if (width_ < 1 || width_ > kLongestSide || height_ < 1 || height_ > kLongestSide) return false;

    constexpr std::array kKnownBits{1U, 4U, 8U, 16U, 24U, 32U};
    if (std::ranges::find(kKnownBits, bits_) == kKnownBits.end()) return false;
    masks_ = bits_ == 16 ? std::array<std::uint32_t, 4>{0x7C00, 0x3E0, 0x1F, 0}
                         : std::array<std::uint32_t, 4>{0xFF0000, 0xFF00, 0xFF, 0};
    std::size_t masks_bytes = 0;  // behind the header
    if (compression == kByMasks || compression == kByMasksWithAlpha) {
        if (bits_ != 16 && bits_ != 32) return false;
        // Headers of 52 bytes and more have room for them.
        const bool has_alpha = compression == kByMasksWithAlpha || header_bytes >= 56;
        for (std::size_t i = 0; i < (has_alpha ? 4U : 3U); ++i)
            masks_[i] = number(kMasksAt + 4 * i, 4);
        if (header_bytes == kInfoHeaderBytes) masks_bytes = has_alpha ? 16 : 12;
    } else if (compression != kUncompressed) {
        return false;
    }
    if (!std::ranges::all_of(masks_, is_one_stretch)) return false;

    if (bits_ <= 8) {
        palette_at_ = kFileHeaderBytes + header_bytes + masks_bytes;
        palette_entry_bytes_ = is_core ? 3 : 4;
        const std::size_t used = is_core ? 0 : number(46, 4);
        const std::size_t most = std::size_t{1} << bits_;
        palette_entries_ = used == 0 ? most : std::min(used, most);
    }
    return true;
}

bool Bitmap::is_complete() const {
    const std::size_t needed = row_bytes() * static_cast<std::size_t>(height_);
    return pixels_at_ <= bytes_.size() && bytes_.size() - pixels_at_ >= needed;
}

void Bitmap::read(int x, int y, int count, std::uint8_t* to) const {
    const auto stored = static_cast<std::size_t>(from_top_ ? y : height_ - 1 - y);
    const std::size_t row = pixels_at_ + row_bytes() * stored;
    const auto band_count = static_cast<std::size_t>(bands());
    for (int i = x; i < x + count; ++i) {
        const std::uint32_t value = value_at(row, i);
        for (std::size_t band = 0; band < band_count; ++band)
            *to++ = band_of(value, band);
    }
}

// Little-endian; 0 outside of the file.
std::uint32_t Bitmap::number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = size; i > 0; --i)
        value = value << 8U | static_cast<unsigned char>(bytes_[at + i - 1]);
    return value;
}

// Rows are whole numbers of four bytes.
std::size_t Bitmap::row_bytes() const {
    return (static_cast<std::size_t>(width_) * bits_ + 31) / 32 * 4;
}

// A pixel's bits, or those of its palette's entry; an entry that there is not is black.
std::uint32_t Bitmap::value_at(std::size_t row, int x) const {
    const auto column = static_cast<std::size_t>(x);
    if (bits_ > 8) return number(row + column * (bits_ / 8), bits_ / 8);
    const std::size_t bit = column * bits_;
    const std::uint32_t byte = number(row + bit / 8, 1);
    const std::uint32_t index = byte >> (8 - bits_ - bit % 8) & ((1U << bits_) - 1);
    if (index >= palette_entries_) return 0;
    return number(palette_at_ + palette_entry_bytes_ * index, 3);
}

std::uint8_t Bitmap::band_of(std::uint32_t value, std::size_t band) const {
    const std::uint32_t mask = masks_[band];
    if (mask == 0) return 0;
    const int shift = std::countr_zero(mask);
    const std::uint64_t most = mask >> shift;
    return static_cast<std::uint8_t>(((value & mask) >> shift) * std::uint64_t{255} / most);
}

}  // namespace tidepool::transform
