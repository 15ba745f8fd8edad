// Takes out of an image file what tells of persons, places, devices and times, and leaves what it
// shows as it is. Pure.
#pragma once

#include "conf/error.h"
#include "transform/stripped_output.h"

#include <span>
#include <string_view>

namespace tidepool::transform {

// Whether there is something in it that strip_personal_metadata takes out.
//
// `type` is what content_type_of found. Any thread. Fails with `corrupt` and a text fit for the
// client where the file is not whole (as check_whole has it) or says in a way not understood here
// where its metadata is, and with `invalid` for a type other than those of check_whole.
Result<bool> has_personal_metadata(std::span<const char> bytes, std::string_view type);

// Gives `sink` the file without Exif, XMP, IPTC, comments, thumbnails, and what follows the image.
// Pixels are copied, not decoded; colour profile, resolution, animation and orientation stay, the
// last one in an Exif block that holds nothing else. What comes out holds nothing that a second
// call would find, and is no longer than the file.
//
// Only for bytes and type of which has_personal_metadata said something. Any thread; takes no more
// memory for a longer file, but for AVIF, of which some 20 MiB of places may be remembered.
void strip_personal_metadata(std::span<const char> bytes, std::string_view type,
                             StrippedOutput::Sink sink);

}  // namespace tidepool::transform
