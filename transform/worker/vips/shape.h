// Size and orientation of variants.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/worker/vips/image.h"

namespace tidepool::transform {

// What becomes of an image of some size: it is resized, then a part of it is kept.
struct Shape {
    int width = 0;  // after resizing, upright
    int height = 0;
    int kept_width = 0;  // at most those above
    int kept_height = 0;

    bool operator==(const Shape&) const = default;
    bool is_cut() const { return kept_width != width || kept_height != height; }
};

// Pure. Never larger than the source in either direction, and never empty.
Shape shape_of(const Recipe& recipe, int width, int height);

// Resizes to exactly this size, colours weighted by their alpha.
Result<Image> resize(Image in, int width, int height);

// Turns and mirrors as the orientation tag says, and takes the tag away. Holds the image in memory
// where there is something to turn.
Result<Image> make_upright(Image in, int orientation);

// Keeps the part that the recipe's gravity says.
Result<Image> cut(Image in, const Shape& shape, conf::VariantProfile::Gravity gravity);

Result<Image> sharpen(Image in, unsigned percent);

}  // namespace tidepool::transform
