// What a variant can be asked for beside the profiles, in imgproxy's words: read from the options
// of a path, and written as a part of the variant's name. Pure.
#pragma once

#include "conf/settings.h"
#include "transform/format.h"

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::transform {

// As of a profile. What makes no difference has its default, so that what is the same is equal.
struct VariantOptions {
    std::uint32_t width = 0;  // of the box, in pixels; 0 = not limited
    std::uint32_t height = 0;
    conf::VariantProfile::Fit fit = conf::VariantProfile::Fit::inside;
    conf::VariantProfile::Gravity gravity = conf::VariantProfile::Gravity::centre;
    std::uint32_t quality = 0;  // 0 = that of a profile which says nothing
    std::string background = "ffffff";
    std::uint32_t sharpen = 0;  // percent
    bool operator==(const VariantOptions&) const = default;
};

// Of options in any order, for a variant of this format:
//   rs:TYPE:WIDTH:HEIGHT  or resize; fit, fill or force; what is left out or empty is not said
//   w:N h:N               or width, height
//   q:N                   or quality
//   g:WHERE               or gravity; ce, no, ea, so, we, or sm (what draws the eye)
//   bg:RRGGBB             or background
//   sh:PERCENT            or sharpen
// Else what is wrong, for the client: it repeats nothing but names of options, so that it can stand
// in any kind of text.
std::expected<VariantOptions, std::string> parse_variant_options(
    std::span<const std::string_view> options, Format format);

// As SIZE in UUID_SIZE.EXTENSION: "_rs_fill_300_200-g_no-q_80", the options in a fixed order and
// spelling. It begins with a character that no profile's name has.
std::string size_name_of(const VariantOptions& options);
inline bool is_name_of_options(std::string_view size) {
    return size.starts_with('_');
}
// The way back; nothing for any other text, so that equal options have one name.
std::optional<VariantOptions> options_named(std::string_view size, Format format);

}  // namespace tidepool::transform
