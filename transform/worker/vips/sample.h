// Images to try everything with.
#pragma once

#include "conf/error.h"
#include "transform/worker/bytes.h"

namespace tidepool::transform {

// A PNG of 16 x 16 pixels with alpha and a colour profile.
Result<Bytes> sample_image();
// The same as a JPEG with EXIF data.
Result<Bytes> sample_photograph();

}  // namespace tidepool::transform
