#include "proxy/edge/eligibility.h"

#include "conf/ascii.h"

#include <algorithm>
#include <array>

namespace tidepool::edge {

namespace {

// In the order of the contract, which is the alphabet's.
constexpr std::array<std::string_view, 56> kDefaultExtensions{
    "7z",   "avi",  "avif", "apk",   "bin", "bmp",  "bz2",  "class", "css", "csv", "doc",  "docx",
    "dmg",  "ejs",  "eot",  "eps",   "exe", "flac", "gif",  "gz",    "ico", "iso", "jar",  "jpg",
    "jpeg", "js",   "mid",  "midi",  "mkv", "mp3",  "mp4",  "ogg",   "otf", "pdf", "pict", "pls",
    "png",  "ppt",  "pptx", "ps",    "rar", "svg",  "svgz", "swf",   "tar", "tif", "tiff", "ttf",
    "webm", "webp", "woff", "woff2", "xls", "xlsx", "zip",  "zst"};
constexpr std::array<std::string_view, 4> kUnlistedImages{"heic", "heif", "jxl", "jp2"};

}  // namespace

std::string extension_of(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const std::size_t dot = name.rfind('.');
    return dot == name.npos ? std::string() : conf::lower_case(name.substr(dot + 1));
}

bool is_default_extension(std::string_view extension) {
    return !extension.empty() &&
           std::ranges::find(kDefaultExtensions, extension) != kDefaultExtensions.end();
}

bool is_unlisted_image(std::string_view extension) {
    return std::ranges::find(kUnlistedImages, extension) != kUnlistedImages.end();
}

}  // namespace tidepool::edge
