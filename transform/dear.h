// What takes long, told by what an original says of itself before it is decoded. Pure.
#pragma once

#include "transform/format.h"
#include "transform/inspection.h"
#include "transform/recipe.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::transform {

// What is known of an original whose bytes are at hand.
struct SourceHead {
    std::string beginning;     // kSniffBytes, or all
    std::uint64_t bytes = 0;   // of the file
    std::uint64_t pixels = 0;  // see pixel_count_of
};

// True where making it takes long: AVIF, JPEG XL, what may be an animation, a large variant of a
// large original, and any of a huge one.
bool is_dear(const SourceHead& source, const Recipe& recipe);

// True where that is for the size alone; `pixels` is 0 where it is not known yet.
bool is_large(std::uint64_t bytes, std::uint64_t pixels, const Recipe& recipe);

// The same as far as names tell it, before anything of the original was read: of a variant in this
// format, of an original with this extension ("" = it is not known either).
bool is_likely_dear(Format wanted, std::string_view original_extension);

// True of what begins as an animation does. GIFs mostly are, so each counts as one.
bool may_be_animation(std::span<const char> beginning);

// True where looking at the original takes long: at the pixels of an AVIF, of what may be an
// animation, or of a huge one. No head is dear.
bool is_dear(const SourceHead& source, InspectDepth depth);

}  // namespace tidepool::transform
