// Making a variant from its original. Knows no files, names or pools. Blocks, and may crash, hang
// or take much memory with a source that was made for that: call it in a worker process.
#pragma once

#include "conf/error.h"
#include "transform/bytes.h"
#include "transform/recipe.h"

#include <span>

namespace tidepool::transform {

struct Made {
    Bytes bytes;
    int width = 0;  // of one frame
    int height = 0;
    int frames = 1;
};

// Makes all that is loaded or made on first use, so that make() touches no file afterwards. Any
// thread. `misconfigured` where libvips cannot do what we need.
Result<void> prepare_to_make();

// The same bytes for the same source, recipe and version of the libraries. Upright, in sRGB,
// without metadata, never larger than the original.
//   corrupt    the source is no image that we decode, or a broken one
//   too_large  it or the variant is beyond a limit, or beyond the format
//   not_found  of so small an image this variant is not made (Recipe::made_above)
Result<Made> make(std::span<const char> bytes, const Recipe& recipe);

// True where making it takes long: AVIF, JPEG XL, and what may be an animation. `source` is the
// beginning of the original.
bool is_dear(std::span<const char> source, const Recipe& recipe);

}  // namespace tidepool::transform
