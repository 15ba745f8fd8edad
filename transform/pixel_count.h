// How many pixels an image has, as its head says, for who must know before anything decodes it.
// Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tidepool::transform {

// Gives so many of a file's bytes from there on; fewer where it ends before.
using ReadPart = std::function<std::string(std::uint64_t offset, std::size_t count)>;

// What a JPEG has whose size is not where it is looked for: behind what no photograph has, so that
// nobody hides a large one there.
inline constexpr std::uint64_t kUntoldPixels = UINT64_MAX;

// Of one frame of a JPEG, PNG, WebP, GIF or BMP; 0 of any other file, and of one that is cut before
// it says so. `beginning` is kSniffBytes of the file or all; of a JPEG what follows is read too, as
// metadata stand before its size. What a file says need not be true.
std::uint64_t pixel_count_of(std::string_view beginning, const ReadPart& read);

}  // namespace tidepool::transform
