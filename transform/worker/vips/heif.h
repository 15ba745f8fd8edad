// What libheif is used for directly: AVIF with one thread, and the colours that a HEIC or AVIF says
// by numbers; libvips leaves the threads to libheif, and does not ask for such colours.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/worker/bytes.h"
#include "transform/worker/vips/image.h"

#include <span>

namespace tidepool::transform {

// Makes all pixels, which must be of three or four bands, and encodes them. `corrupt` where
// the source turns out broken on the way. What goes wrong afterwards is `too_large`: the encoder
// can do all images but for those whose memory it does not get.
Result<Bytes> encode_avif(const Image& image, const Recipe& recipe);

// True where the file's picture is in the colours of Display P3, as numbers tell (ITU-T H.273:
// primaries 12, transfer 13).
bool has_p3_numbers(std::span<const char> file);

}  // namespace tidepool::transform
