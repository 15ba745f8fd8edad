// Looking at an original before anybody counts on it. Knows no files, names or pools. As dangerous
// as make(): call it in a worker process.
#pragma once

#include "conf/error.h"
#include "transform/inspection.h"
#include "transform/recipe.h"

#include <span>

namespace tidepool::transform {

// What its bytes say. With InspectDepth::structure the file is walked to its image's end (see
// check_whole, other_format_within), which takes less time than to copy it; with
// InspectDepth::pixels the first frame is decoded, smaller where its format can do that, so that a
// file which breaks off or is broken inside is found out. Any thread.
//   corrupt    no image that we decode, or a broken one
//   too_large  it is beyond a limit: of bytes, pixels, frames or an animation's pixels
Result<Inspection> inspect(std::span<const char> bytes, const Limits& limits, InspectDepth depth);

}  // namespace tidepool::transform
