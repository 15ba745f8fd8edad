// Decoding JPEGs from memory.
#pragma once

#include "conf/error.h"
#include "transform/worker/vips/image.h"

#include <cstdint>
#include <span>

namespace tidepool::transform {

// Whether open_jpeg can decode what libvips says this of: grey and RGB; CMYK is left to libvips.
bool is_plain_jpeg(const Image& head);

// Scans that a JPEG of so many pixels may have. Each costs a pass over all of it, and a few bytes
// of the file where it changes nothing.
int most_jpeg_scans(std::uint64_t pixels);

// Fails where there are more, which is `corrupt`, before anything is decoded. Of every JPEG.
Result<void> check_jpeg_scans(const Image& head, std::span<const char> bytes);

// Opens the pixels, 1, 2, 4 or 8 times smaller, to be read once from top to bottom, with the fields
// that `head` has. libvips' own way gives libjpeg 4 KiB at a time, with which it often has to read
// bit by bit; this one gives it all at once, and the pixels are the same. The bytes must outlive
// the image. A truncated file is `corrupt`, as is one with a flood of scans.
Result<Image> open_jpeg(const Image& head, std::span<const char> bytes, int shrink);

}  // namespace tidepool::transform
