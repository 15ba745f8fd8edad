// Colours of variants: sRGB, eight bits.
#pragma once

#include "conf/error.h"
#include "transform/worker/vips/image.h"

namespace tidepool::transform {

// To sRGB through the profile that the image has; where it has none or one of another kind of
// image, as sRGB, grey or a common CMYK. Grey without a profile may stay grey. Alpha is kept. The
// profile is gone afterwards.
Result<Image> to_srgb(const Image& in);

// To three bands, for a format that has no grey.
Result<Image> to_three_bands(Image in);

}  // namespace tidepool::transform
