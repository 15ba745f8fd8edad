// Opening an original: by its bytes, shrunk as it is decoded where its format can do that.
#pragma once

#include "conf/error.h"
#include "transform/recipe.h"
#include "transform/worker/vips/image.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace tidepool::transform {

// What an original's head says.
struct Source {
    std::span<const char> bytes;
    std::string_view type;  // by its bytes
    int width = 0;          // of one frame, as stored
    int height = 0;
    int frames = 1;
    int orientation = 1;  // EXIF's, 1 to 8
    Image head;           // without pixels

    // As it is to be seen.
    int upright_width() const { return orientation >= 5 ? height : width; }
    int upright_height() const { return orientation >= 5 ? width : height; }
};

// How an original is decoded. Variants with the same plan can be made of the same decoded pixels.
struct LoadPlan {
    bool all_frames = false;
    int jpeg_shrink = 1;    // libjpeg's: 1, 2, 4 or 8
    double webp_scale = 1;  // libwebp's: at most 1

    bool operator==(const LoadPlan&) const = default;
};

// Reads the head alone. `corrupt` where the bytes are no image that we decode. The bytes must
// outlive what is opened from them.
Result<Source> look_at_source(std::span<const char> bytes);

// `too_large` where a file of so many bytes is not decoded. Pure.
Result<void> check_bytes(std::uint64_t bytes, const Limits& limits);

// `too_large` beyond the limits; those of animations hold only where `animated`, for else one frame
// is decoded. Pure.
Result<void> check_limits(const Source& source, bool animated, const Limits& limits);

// The first frame, or with `animated` all of them. The pixels may be smaller than the source by up
// to `shrink` in each direction, but never by more. Pure.
LoadPlan plan_load(const Source& source, bool animated, double shrink);

// Opens its pixels, to be read once from top to bottom; frames stand in one column.
Result<Image> open_source(const Source& source, const LoadPlan& plan);

}  // namespace tidepool::transform
