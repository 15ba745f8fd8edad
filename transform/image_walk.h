// What image files are made of, by their structure alone. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace tidepool::transform {

// A piece of a file as its format divides it; borrows from the file.
struct ImagePart {
    // JPEG: the marker's code. GIF: the introducer, and an extension's label. PNG, WebP, AVIF: the
    // four letters. What a file of these begins with, by names that no part of theirs can have:
    // "\xD8", "GIF", "PNG", "RIFF head".
    std::string_view name;
    // All of it: fill bytes before it, head, padding, checksum; of a JPEG's scan its pixels too.
    std::string_view bytes;
    // What its head announces. Of a GIF's block what follows introducer and label.
    std::string_view content;
};
using OnImagePart = std::function<void(const ImagePart&)>;

// Each of the following shows the parts of a file in their order, up to where its image ends, and
// says what is wrong with it, fit for the client, or "" where nothing is. What is wrong shows after
// the parts before it were. The parts follow one another without a gap, except for bytes between a
// JPEG's segments that belong to none. A BMP is one part. The returned text lives for ever.
std::string_view walk_jpeg(std::string_view file, const OnImagePart& on_part);
std::string_view walk_png(std::string_view file, const OnImagePart& on_part);
std::string_view walk_gif(std::string_view file, const OnImagePart& on_part);
std::string_view walk_webp(std::string_view file, const OnImagePart& on_part);
std::string_view walk_avif(std::string_view file, const OnImagePart& on_part);
std::string_view walk_bmp(std::string_view file, const OnImagePart& on_part);

// Of a PNG chunk's name and content (PNG, third edition, 5.5 and annex D).
std::uint32_t png_checksum(std::string_view bytes);

// How a box begins (ISO/IEC 14496-12, 4.2).
struct BoxHead {
    static constexpr std::size_t kLeastBytes = 8;
    std::size_t bytes = kLeastBytes;
    std::uint64_t length = 0;  // of all the box, as the head has it: it can be any number
};
// Of the box at `at`, where there are kLeastBytes and more.
BoxHead box_head_at(std::string_view bytes, std::size_t at);

}  // namespace tidepool::transform
