#include "transform/shape.h"

#include <algorithm>
#include <cmath>

namespace tidepool::transform {

namespace {

int scaled_side(int length, double scale) {
    return std::max(1, static_cast<int>(std::lround(length * scale)));
}

// A side of the box as a number; without one, that of the image, which is never enlarged anyway.
int side_limit(std::uint32_t side, int length) {
    return side == 0 ? length : std::min(static_cast<int>(side), length);
}

}  // namespace

Shape shape_of(const Recipe& recipe, int width, int height) {
    const int box_width = side_limit(recipe.width, width);
    const int box_height = side_limit(recipe.height, height);
    if (recipe.fit == conf::VariantProfile::Fit::exact)
        return {box_width, box_height, box_width, box_height};
    const double by_width = static_cast<double>(box_width) / width;
    const double by_height = static_cast<double>(box_height) / height;
    if (recipe.fit == conf::VariantProfile::Fit::inside) {
        const double scale = std::min(by_width, by_height);
        const int inside_width = scaled_side(width, scale);
        const int inside_height = scaled_side(height, scale);
        return {inside_width, inside_height, inside_width, inside_height};
    }
    const double scale = std::max(by_width, by_height);
    const int covering_width = scaled_side(width, scale);
    const int covering_height = scaled_side(height, scale);
    return {covering_width, covering_height, std::min(box_width, covering_width),
            std::min(box_height, covering_height)};
}

}  // namespace tidepool::transform
