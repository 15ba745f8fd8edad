#include "transform/dear.h"

#include "transform/content_type.h"
#include "transform/format.h"

#include <cstddef>
#include <string_view>

namespace tidepool::transform {

namespace {

bool is_slow_to_decode(std::string_view type) {
    return type == "image/avif" || type == "image/heic";
}

// Of a WebP the flag says it (RFC 9649, 2.7: "VP8X", length, flags); GIFs mostly are.
bool may_be_animation(std::string_view type, std::span<const char> beginning) {
    if (type == "image/gif") return true;
    constexpr std::size_t kFlags = 20;
    constexpr char kAnimation = 2;
    return type == "image/webp" && beginning.size() > kFlags &&
           std::string_view(beginning.data() + 12, 4) == "VP8X" &&
           (beginning[kFlags] & kAnimation) != 0;
}

}  // namespace

bool is_dear(std::span<const char> beginning, const Recipe& recipe) {
    if (recipe.format == Format::avif || recipe.format == Format::jxl) return true;
    const std::string_view type = content_type_of(beginning);
    return is_slow_to_decode(type) ||
           (keeps_frames(recipe.format) && may_be_animation(type, beginning));
}

bool is_dear(std::span<const char> beginning, InspectDepth depth) {
    if (depth == InspectDepth::structure) return false;
    const std::string_view type = content_type_of(beginning);
    return is_slow_to_decode(type) || may_be_animation(type, beginning);
}

}  // namespace tidepool::transform
