// The file formats that variants are made in. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidepool::transform {

enum class Format : std::uint8_t { webp, avif, jpeg, png, gif, jxl };

std::string_view name_of(Format format);  // "webp": of settings, metrics and logs
std::string_view type_of(Format format);  // "image/webp"
std::optional<Format> format_named(std::string_view name);
std::optional<Format> format_of_type(std::string_view type);
std::string_view extension_of(Format format);  // "webp", "jpg": of the files that we write
// By a file name's extension without its point: "jpg" and "jpeg" are both jpeg.
std::optional<Format> format_of_extension(std::string_view extension);
// The one format whose animations we make.
constexpr bool keeps_frames(Format format) {
    return format == Format::webp;
}

}  // namespace tidepool::transform
