// What takes long, told by the beginning of an original. Pure.
#pragma once

#include "transform/format.h"
#include "transform/inspection.h"
#include "transform/recipe.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace tidepool::transform {

// True where making it takes long: AVIF, JPEG XL, what may be an animation, and a large variant of
// a large original.
bool is_dear(std::span<const char> beginning, std::uint64_t source_bytes, const Recipe& recipe);

// True where that is for the size alone.
bool is_large(std::uint64_t source_bytes, const Recipe& recipe);

// The same as far as names tell it, before anything of the original was read: of a variant in this
// format, of an original with this extension ("" = it is not known either).
bool is_likely_dear(Format wanted, std::string_view original_extension);

// True of what begins as an animation does. GIFs mostly are, so each counts as one.
bool may_be_animation(std::span<const char> beginning);

// True where looking at the original takes long: at the pixels of an AVIF or of what may be an
// animation. No head is dear.
bool is_dear(std::span<const char> beginning, InspectDepth depth);

}  // namespace tidepool::transform
