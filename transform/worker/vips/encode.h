// Saving a variant.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/worker/bytes.h"
#include "transform/worker/vips/image.h"

namespace tidepool::transform {

// Takes away everything that an image carries beside its pixels: EXIF, GPS, XMP, IPTC, comments,
// embedded thumbnails, profiles. What an animation needs stays. (libvips' own `strip` is not
// enough: 8.14.1 keeps EXIF in WebP, and writes one of its own where there is none; so it is taken
// out of the file again.)
Result<Image> without_metadata(const Image& in);

// Makes all pixels and encodes them. `palette`: PNG is kept to 256 colours. `corrupt` where the
// source turns out broken on the way, `too_large` where the format or the limit cannot hold it.
Result<Bytes> encode(const Image& image, const Recipe& recipe, bool palette);

}  // namespace tidepool::transform
