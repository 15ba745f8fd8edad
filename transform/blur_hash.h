// BlurHash: what an image looks like from far away, in some 30 characters, for a page to show until
// it has the image (https://github.com/woltapp/blurhash, Algorithm.md). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::transform {

// Waves in each direction; at least 1.
struct BlurHashDetail {
    int across = 4;
    int down = 3;
};
inline constexpr std::size_t kMostBlurHashBytes = 28;  // with 4 x 3 or 3 x 4

// Of an image in sRGB, three bytes for each pixel, row by row. Takes time for each pixel and each
// wave: make the image small first.
std::string blur_hash(std::span<const std::uint8_t> pixels, int width, int height,
                      BlurHashDetail detail);

// True where it has the form of one.
bool is_blur_hash(std::string_view text);

}  // namespace tidepool::transform
