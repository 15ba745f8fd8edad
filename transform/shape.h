// How large a variant becomes. Pure.
#pragma once

#include "transform/recipe.h"

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

// Of an image of this size as it is to be seen, in pixels. Never larger than that in either
// direction, and never empty.
Shape shape_of(const Recipe& recipe, int width, int height);

}  // namespace tidepool::transform
