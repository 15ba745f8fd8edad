// Decoding BMP files from memory.
#pragma once

#include "conf/error.h"
#include "transform/worker/vips/image.h"

#include <span>

namespace tidepool::transform {

// Both are `corrupt` where transform/bitmap.h cannot read it. The bytes must outlive the image.

// Its head, without pixels.
Result<Image> look_at_bitmap(std::span<const char> bytes);

// Its pixels, in any order. A file that was cut is `corrupt`.
Result<Image> open_bitmap(std::span<const char> bytes);

}  // namespace tidepool::transform
