#include "transform/worker/vips/focus.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace tidepool::transform {

namespace {

// The image's bytes, row by row.
struct Pixels {
    std::unique_ptr<void, void (*)(void*)> owner;
    const std::uint8_t* bytes;
    int width;
    int height;
    int bands;

    const std::uint8_t* at(int x, int y) const {
        return bytes + (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                        static_cast<std::size_t>(x)) *
                           static_cast<std::size_t>(bands);
    }
    bool has_colour() const { return bands >= 3; }
    bool has_alpha() const { return bands % 2 == 0; }
    int light(int x, int y) const {
        const std::uint8_t* const pixel = at(x, y);
        return has_colour() ? (pixel[0] + 2 * pixel[1] + pixel[2]) / 4 : pixel[0];
    }
    int saturation(int x, int y) const {
        if (!has_colour()) return 0;
        const std::uint8_t* const pixel = at(x, y);
        const auto [least, most] = std::minmax({pixel[0], pixel[1], pixel[2]});
        return most - least;
    }
    int alpha(int x, int y) const { return has_alpha() ? at(x, y)[bands - 1] : 255; }
};

std::uint64_t interest_at(const Pixels& pixels, int x, int y, Interest interest) {
    const int light = pixels.light(x, y);
    const int right = pixels.light(std::min(x + 1, pixels.width - 1), y);
    const int below = pixels.light(x, std::min(y + 1, pixels.height - 1));
    int found = std::abs(light - right) + std::abs(light - below);
    if (interest == Interest::colour) found += pixels.saturation(x, y) / 4;
    return static_cast<std::uint64_t>(found) * static_cast<std::uint64_t>(pixels.alpha(x, y));
}

// The beginning of the `length` lines that have most together.
int best_start(const std::vector<std::uint64_t>& lines, int length) {
    const int last = static_cast<int>(lines.size()) - length;
    std::uint64_t sum = 0;
    for (int i = 0; i < length; ++i)
        sum += lines[static_cast<std::size_t>(i)];
    std::uint64_t best_sum = sum;
    int best = 0;
    for (int start = 1; start <= last; ++start) {
        sum += lines[static_cast<std::size_t>(start + length - 1)];
        sum -= lines[static_cast<std::size_t>(start - 1)];
        const bool more_central = std::abs(2 * start - last) < std::abs(2 * best - last);
        if (sum < best_sum || (sum == best_sum && !more_central)) continue;
        best_sum = sum;
        best = start;
    }
    return best;
}

}  // namespace

Result<Offset> most_interesting(const Image& image, int width, int height, Interest interest) {
    std::size_t size = 0;
    void* const bytes = vips_image_write_to_memory(image.get(), &size);
    if (bytes == nullptr) return fail_vips(ErrorKind::corrupt, "decode");
    const Pixels pixels{{bytes, g_free},
                        static_cast<const std::uint8_t*>(bytes),
                        image.width(),
                        image.height(),
                        vips_image_get_bands(image.get())};
    std::vector<std::uint64_t> columns(static_cast<std::size_t>(pixels.width));
    std::vector<std::uint64_t> rows(static_cast<std::size_t>(pixels.height));
    for (int y = 0; y < pixels.height; ++y) {
        for (int x = 0; x < pixels.width; ++x) {
            const std::uint64_t found = interest_at(pixels, x, y, interest);
            columns[static_cast<std::size_t>(x)] += found;
            rows[static_cast<std::size_t>(y)] += found;
        }
    }
    return Offset{best_start(columns, width), best_start(rows, height)};
}

}  // namespace tidepool::transform
