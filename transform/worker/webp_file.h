// The container of WebP files (RFC 9649, 2). Pure.
#pragma once

#include <cstddef>
#include <span>

namespace tidepool::transform {

// Takes EXIF, XMP and colour profile out of a file that we have encoded, in place, and the extended
// header where nothing needs it any more. Returns the file's new length; a file that is not of this
// form stays as it is.
std::size_t drop_webp_metadata(std::span<char> file);

}  // namespace tidepool::transform
