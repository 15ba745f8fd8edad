// Where the interesting part of an image is.
#pragma once

#include "conf/error.h"
#include "transform/worker/vips/image.h"

namespace tidepool::transform {

// By what a part is judged: contrast alone, or colourful places, too.
enum class Interest : std::uint8_t { contrast, colour };

struct Offset {
    int left = 0;
    int top = 0;
};

// Where a part of this size has most of it; of equal ones the most central. The image is in memory,
// eight bits, grey or sRGB. (libvips' smartcrop compiles code at run time, which a worker may not.)
Result<Offset> most_interesting(const Image& image, int width, int height, Interest interest);

}  // namespace tidepool::transform
