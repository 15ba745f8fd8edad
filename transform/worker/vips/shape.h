// Brings images into the size and orientation that they have as variants.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/shape.h"
#include "transform/worker/vips/image.h"

namespace tidepool::transform {

// Resizes to exactly this size, colours weighted by their alpha.
Result<Image> resize(Image in, int width, int height);

// Turns and mirrors as the orientation tag says, and takes the tag away. Holds the image in memory
// where there is something to turn.
Result<Image> make_upright(Image in, int orientation);

// Keeps the part that the recipe's gravity says.
Result<Image> cut(Image in, const Shape& shape, conf::VariantProfile::Gravity gravity);

Result<Image> sharpen(Image in, unsigned percent);

}  // namespace tidepool::transform
