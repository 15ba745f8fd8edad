// Takes out of an image file what tells of persons, places, devices and times, and leaves what it
// shows as it is. Pure.
#pragma once

#include "conf/error.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace tidepool::transform {

// The file without Exif, XMP, IPTC, comments, thumbnails, and what follows the image; nothing where
// it has none of these and stays as it is. Pixels are copied, not decoded; colour profile,
// resolution, animation and orientation stay, the last one in an Exif block that holds nothing
// else. What comes out holds nothing that a second call would find, and is no longer than the file.
//
// `type` is what content_type_of found. Any thread; takes as much memory as the file is long.
// Fails with `corrupt` and a text fit for the client where the file is not whole (as check_whole
// has it) or says in a way not understood here where its metadata is, and with `invalid` for a type
// other than those of check_whole.
Result<std::optional<std::vector<char>>> without_personal_metadata(std::span<const char> bytes,
                                                                   std::string_view type);

}  // namespace tidepool::transform
