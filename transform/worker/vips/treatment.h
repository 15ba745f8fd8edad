// What is done to the decoded pixels of an original before a variant is encoded.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/worker/vips/image.h"
#include "transform/worker/vips/shape.h"
#include "transform/worker/vips/source.h"

#include <cstdint>

namespace tidepool::transform {

// All that a recipe says of the pixels, but for what its format needs. Variants with the same
// treatment of the same decoded pixels can be encoded from one image.
struct Treatment {
    Shape shape;
    conf::VariantProfile::Gravity gravity = conf::VariantProfile::Gravity::centre;
    std::uint32_t sharpen = 0;  // percent

    bool operator==(const Treatment&) const = default;
};

// What makes no difference to this source is left out, so that equal results compare equal. Pure.
Treatment treatment_of(const Recipe& recipe, const Source& source);

// True where pixels are mixed with their neighbours. Such an image must be made in one way whoever
// reads it, for what a filter gives may depend, in its last bit, on where the reader's strips
// begin.
bool mixes_pixels(const Treatment& treatment, const Source& source);

// Resized, in sRGB, upright, cut and sharpened. With `animated` each frame of the column for
// itself.
Result<Image> treat(Image in, const Source& source, bool animated, const Treatment& treatment);

// To what the recipe's format can hold: without alpha, or with colour bands.
Result<Image> fit_format(Image in, const Recipe& recipe);

// All pixels, made now. `corrupt` where the source turns out broken on the way.
Result<Image> in_memory(const Image& in);

}  // namespace tidepool::transform
