// Reading BMP files, which libvips leaves to a library that we do not trust with a stranger's file
// (Microsoft: BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER, BITMAPV5HEADER). Pure.
#pragma once

#include "conf/error.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tidepool::transform {

// A file of 1, 4, 8, 16, 24 or 32 bits for each pixel that is not compressed. The bytes must
// outlive it. One thread at a time, or many that only read.
class Bitmap {
  public:
    // Reads the head. `corrupt` where it is none, or of another kind.
    static Result<Bitmap> open(std::span<const char> bytes);

    int width() const { return width_; }
    int height() const { return height_; }
    int bands() const { return masks_[kAlpha] != 0 ? 4 : 3; }  // red, green, blue, and alpha
    // False for a file that was cut.
    bool is_complete() const;

    // Writes `count` pixels of row y, counted from the top, from column x on; a byte for each band.
    // The file must be complete and the pixels inside of it.
    void read(int x, int y, int count, std::uint8_t* to) const;

  private:
    static constexpr std::size_t kAlpha = 3;

    Bitmap() = default;
    bool read_form(std::size_t header_bytes);
    std::uint32_t number(std::size_t at, std::size_t size) const;
    std::size_t row_bytes() const;
    std::uint32_t value_at(std::size_t row, int x) const;
    std::uint8_t band_of(std::uint32_t value, std::size_t band) const;

    std::span<const char> bytes_;
    int width_ = 0;
    int height_ = 0;
    bool from_top_ = false;
    unsigned bits_ = 0;  // of a pixel
    std::size_t pixels_at_ = 0;
    std::array<std::uint32_t, 4> masks_{};  // where the bands are in a pixel's or a palette's value
    std::size_t palette_at_ = 0;            // for pixels of at most 8 bits
    std::size_t palette_entry_bytes_ = 0;
    std::size_t palette_entries_ = 0;
};

}  // namespace tidepool::transform
