#include "transform/recipe.h"

#include "transform/dear.h"
#include "transform/variant_options.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

using conf::VariantProfile;

// What uploads are called (contracts: pixelfox.md, Keys, paths and URLs), the most frequent first.
constexpr std::string_view kOriginalExtensions[] = {"jpg", "jpeg", "png", "webp",
                                                    "gif", "avif", "bmp"};

bool has(const std::vector<std::string>& list, std::string_view item) {
    return std::ranges::find(list, item) != list.end();
}

bool is_made_of(const VariantProfile& profile, std::string_view original_extension) {
    // Which is decoded, but no variant is made in it.
    if (original_extension == "bmp") return true;
    const auto format = format_of_extension(original_extension);
    return format && !has(profile.not_of, name_of(*format));
}

// In which extension a format of the settings is kept; "original" is that of the original.
std::string_view extension_of(std::string_view format, std::string_view original_extension) {
    const auto known = format_named(format);
    return known ? extension_of(*known) : original_extension;
}

std::vector<std::string> originals_of(const VariantProfile& profile, Format format,
                                      std::string_view extension) {
    std::vector<std::string> extensions;
    const bool from_any =
        has(profile.formats, name_of(format)) && extension == extension_of(format);
    for (const std::string_view original : kOriginalExtensions) {
        if (!is_made_of(profile, original)) continue;
        const bool own_format = has(profile.formats, "original") && original == extension;
        if (own_format || from_any) extensions.emplace_back(original);
    }
    return extensions;
}

void set_quality(const VariantProfile& profile, const conf::VariantSettings& settings,
                 Recipe& recipe) {
    switch (recipe.format) {
        case Format::webp:
            recipe.quality = profile.webp_quality;
            recipe.effort = profile.webp_effort;
            break;
        case Format::avif:
            recipe.quality = profile.avif_quality;
            recipe.effort = profile.avif_effort;
            recipe.made_above = settings.avif_above;
            break;
        case Format::jpeg:
            recipe.quality = profile.jpeg_quality;
            recipe.progressive = settings.progressive_jpeg;
            break;
        case Format::png:
            recipe.effort = profile.png_compression;
            break;
        case Format::gif:
            break;
        case Format::jxl:
            recipe.quality = profile.jxl_quality;
            recipe.effort = profile.jxl_effort;
            break;
    }
}

// Of "#rrggbb", which settings_check has seen to.
std::array<std::uint8_t, 3> colour_of(std::string_view text) {
    std::array<std::uint8_t, 3> colour{};
    for (std::size_t i = 0; i < colour.size() && 3 + 2 * i <= text.size(); ++i) {
        const char* const digits = text.data() + 1 + 2 * i;
        std::from_chars(digits, digits + 2, colour[i], 16);
    }
    return colour;
}

Recipe recipe_of(const VariantProfile& profile, const conf::VariantSettings& settings,
                 Format format) {
    Recipe recipe;
    recipe.width = profile.width;
    recipe.height = profile.height;
    recipe.fit = profile.fit;
    recipe.gravity = profile.gravity;
    recipe.format = format;
    recipe.background = colour_of(profile.background);
    recipe.sharpen = profile.sharpen;
    recipe.limits = limits_of(settings);
    set_quality(profile, settings, recipe);
    return recipe;
}

// The profile that these options would be.
VariantProfile profile_of(const VariantOptions& options, Format format) {
    VariantProfile profile;
    profile.width = options.width;
    profile.height = options.height;
    profile.fit = options.fit;
    profile.gravity = options.gravity;
    // Nothing but a GIF becomes one, as it would lose its colours.
    profile.formats = {format == Format::gif ? "original" : std::string(name_of(format))};
    profile.background = "#" + options.background;
    profile.sharpen = options.sharpen;
    if (options.quality > 0) {
        for (auto quality : {&VariantProfile::webp_quality, &VariantProfile::avif_quality,
                             &VariantProfile::jpeg_quality, &VariantProfile::jxl_quality})
            profile.*quality = options.quality;
    }
    return profile;
}

std::optional<Order> order_of(const conf::Settings& settings, const VariantProfile& profile,
                              std::optional<std::size_t> number, std::string_view extension) {
    const auto format = format_of_extension(extension);
    if (!format) return std::nullopt;
    std::vector<std::string> originals = originals_of(profile, *format, extension);
    if (originals.empty()) return std::nullopt;
    return Order{recipe_of(profile, settings.variants, *format), number, std::move(originals)};
}

// Of a box as far as it is limited: what a visitor sees of it grows with it.
std::uint64_t area_of(const VariantProfile& profile) {
    constexpr std::uint64_t kUnlimited = 1U << 20U;
    if (profile.width == 0 && profile.height == 0) return kUnlimited * kUnlimited;
    const std::uint64_t width = profile.width == 0 ? profile.height : profile.width;
    const std::uint64_t height = profile.height == 0 ? profile.width : profile.height;
    return width * height;
}

// A still of an animation is, where the frames are not kept.
bool is_quick(const Order& order, std::string_view original_extension, bool may_move) {
    const Format format = order.recipe.format;
    return !is_likely_dear(format, original_extension) && !(may_move && keeps_frames(format));
}

}  // namespace

Limits limits_of(const conf::VariantSettings& settings) {
    return {settings.source_bytes, settings.pixels, settings.frames, settings.animation_pixels,
            settings.result_bytes};
}

std::optional<Order> find_order(const conf::Settings& settings, std::string_view size,
                                std::string_view extension) {
    if (is_name_of_options(size)) {
        const auto format = format_of_extension(extension);
        const auto options = format ? options_named(size, *format) : std::nullopt;
        if (!options) return std::nullopt;
        return order_of(settings, profile_of(*options, *format), std::nullopt, extension);
    }
    const auto profile = std::ranges::find(settings.profiles, size, &VariantProfile::name);
    if (profile == settings.profiles.end()) return std::nullopt;
    const auto number = static_cast<std::size_t>(profile - settings.profiles.begin());
    return order_of(settings, *profile, number, extension);
}

std::string VariantName::ending() const {
    return fmt::format("{}{}.{}", size.empty() ? "" : "_", size, extension);
}

std::vector<VariantName> variants_of(const conf::Settings& settings,
                                     std::string_view original_extension, bool at_upload) {
    std::vector<VariantName> names;
    for (const VariantProfile& profile : settings.profiles) {
        for (const std::string& format : at_upload ? profile.at_upload : profile.formats) {
            VariantName name{profile.name, std::string(extension_of(format, original_extension))};
            const auto order = find_order(settings, name.size, name.extension);
            const auto is_same = [&name](const VariantName& other) {
                return other.size == name.size && other.extension == name.extension;
            };
            if (order && has(order->original_extensions, original_extension) &&
                std::ranges::none_of(names, is_same))
                names.push_back(std::move(name));
        }
    }
    return names;
}

std::vector<StandIn> stand_ins_of(const conf::Settings& settings, const VariantName& wanted,
                                  std::string_view original_extension, bool may_move) {
    const auto profile = std::ranges::find(settings.profiles, wanted.size, &VariantProfile::name);
    if (profile == settings.profiles.end()) return {};
    const auto wanted_order = find_order(settings, wanted.size, wanted.extension);
    // Where even a quick one takes long, no other one is quicker.
    const bool others_are_quicker =
        wanted_order && !is_quick(*wanted_order, original_extension, may_move);
    const std::uint64_t area = area_of(*profile);
    struct Candidate {
        StandIn stand_in;
        // First by 0: the same size, 1: larger, 2: smaller; last by the order of the settings.
        std::tuple<int, std::uint64_t, std::size_t> distance;
    };
    std::vector<Candidate> candidates;
    for (VariantName& name : variants_of(settings, original_extension, false)) {
        const auto order = find_order(settings, name.size, name.extension);
        const bool is_wanted = name.size == wanted.size && name.extension == wanted.extension;
        if (is_wanted || !order || !order->profile) continue;
        const std::uint64_t other = area_of(settings.profiles[*order->profile]);
        const bool is_same_size = name.size == wanted.size;
        const int step = is_same_size ? 0 : other >= area ? 1 : 2;
        const std::uint64_t apart = other >= area ? other - area : area - other;
        candidates.push_back({{std::move(name), others_are_quicker && is_same_size &&
                                                    is_quick(*order, original_extension, may_move)},
                              {step, apart, candidates.size()}});
    }
    std::ranges::sort(candidates, {}, &Candidate::distance);
    std::vector<StandIn> stand_ins;
    for (Candidate& candidate : candidates)
        stand_ins.push_back(std::move(candidate.stand_in));
    return stand_ins;
}

}  // namespace tidepool::transform
