#include "transform/dear.h"

#include "transform/content_type.h"

#include <algorithm>
#include <cstddef>

namespace tidepool::transform {

namespace {

// A photograph of so many bytes has tens of megapixels. To write 100 of them as WebP takes half a
// minute and more, which would need a deadline by which a file that hangs a decoder holds up its
// lane for as long.
constexpr std::uint64_t kLargeSource = 8ULL << 20;
constexpr std::uint32_t kLargeSide = 4096;
// Bytes alone say little: a picture of one colour has a hundred megapixels in a few hundred KiB.
constexpr std::uint64_t kLargePixels = 24'000'000;
// So many take a second and more to decode, however small the variant. More than a telephone has.
constexpr std::uint64_t kHugePixels = 52'000'000;

bool is_slow_to_encode(Format format) {
    return format == Format::avif || format == Format::jxl;
}

bool is_slow_to_decode(std::string_view type) {
    return type == "image/avif" || type == "image/heic";
}

// Of a WebP the flag says it (RFC 9649, 2.7: "VP8X", length, flags).
bool moves(std::string_view type, std::span<const char> beginning) {
    if (type == "image/gif") return true;
    constexpr std::size_t kFlags = 20;
    constexpr char kAnimation = 2;
    return type == "image/webp" && beginning.size() > kFlags &&
           std::string_view(beginning.data() + 12, 4) == "VP8X" &&
           (beginning[kFlags] & kAnimation) != 0;
}

}  // namespace

bool is_large(std::uint64_t bytes, std::uint64_t pixels, const Recipe& recipe) {
    if (pixels > kHugePixels) return true;
    const std::uint32_t longest = std::max(recipe.width, recipe.height);
    const bool is_large_source = bytes > kLargeSource || pixels > kLargePixels;
    return is_large_source && (longest == 0 || longest > kLargeSide);
}

bool is_dear(const SourceHead& source, const Recipe& recipe) {
    if (is_slow_to_encode(recipe.format) || is_large(source.bytes, source.pixels, recipe))
        return true;
    const std::string_view type = content_type_of(source.beginning);
    return is_slow_to_decode(type) ||
           (keeps_frames(recipe.format) && moves(type, source.beginning));
}

bool is_likely_dear(Format wanted, std::string_view original_extension) {
    const auto original = format_of_extension(original_extension);
    const bool is_heif = original_extension == "heic" || original_extension == "heif";
    return is_slow_to_encode(wanted) || original == Format::avif || is_heif ||
           (keeps_frames(wanted) && original == Format::gif);
}

bool may_be_animation(std::span<const char> beginning) {
    return moves(content_type_of(beginning), beginning);
}

bool is_dear(const SourceHead& source, InspectDepth depth) {
    if (depth == InspectDepth::structure) return false;
    const std::string_view type = content_type_of(source.beginning);
    return source.pixels > kHugePixels || is_slow_to_decode(type) || moves(type, source.beginning);
}

}  // namespace tidepool::transform
