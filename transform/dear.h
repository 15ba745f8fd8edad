// What takes long, told by the beginning of an original. Pure.
#pragma once

#include "transform/inspection.h"
#include "transform/recipe.h"

#include <span>

namespace tidepool::transform {

// True where making it takes long: AVIF, JPEG XL, and what may be an animation.
bool is_dear(std::span<const char> beginning, const Recipe& recipe);

// True where looking at the original takes long: at the pixels of an AVIF or of what may be an
// animation. No head is dear.
bool is_dear(std::span<const char> beginning, InspectDepth depth);

}  // namespace tidepool::transform
