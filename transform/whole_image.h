// Whether an image file is all there, by its structure alone: what is asked of an upload before
// anything is decoded. Pure.
#pragma once

#include "conf/error.h"

#include <optional>
#include <span>
#include <string_view>

namespace tidepool::transform {

// Walks a file of the media type that content_type_of found, from its beginning to where its image
// ends; what follows there is not looked at, since cameras append to it. Pixels are not decoded, so
// a file that passes may still show nothing. Fails with `corrupt` and a text fit for the client
// where the image is cut off or its structure is broken, and with `invalid` for a type other than
// JPEG, PNG, GIF, WebP, AVIF and BMP.
Result<void> check_whole(std::span<const char> bytes, std::string_view type);

// What else a whole file would pass for, whatever image it is: "PDF" or "HTML", which readers look
// for near the beginning, or "ZIP", whose directory is at the end. Nothing where it is none of
// these. The returned text lives for ever.
std::optional<std::string_view> other_format_within(std::span<const char> bytes);

}  // namespace tidepool::transform
