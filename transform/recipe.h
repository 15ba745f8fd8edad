// Which variants there are, and how each is made. Pure.
#pragma once

#include "conf/settings.h"
#include "transform/format.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tidepool::transform {

// What a source and a result may be at most; see conf::VariantSettings.
struct Limits {
    std::uint64_t source_bytes = 0;
    std::uint64_t pixels = 0;
    std::uint64_t frames = 0;
    std::uint64_t animation_pixels = 0;
    std::uint64_t result_bytes = 0;
};
Limits limits_of(const conf::VariantSettings& settings);

// All that must be known to make a variant from its original's bytes. Plain values, so that a
// recipe can be handed to another process of the same program as it is in memory.
struct Recipe {
    std::uint32_t width = 0;  // of the box, in pixels; 0 = not limited
    std::uint32_t height = 0;
    conf::VariantProfile::Fit fit = conf::VariantProfile::Fit::inside;
    conf::VariantProfile::Gravity gravity = conf::VariantProfile::Gravity::centre;
    Format format = Format::webp;
    bool progressive = false;   // jpeg
    std::uint32_t quality = 0;  // webp, avif, jpeg, jxl
    std::uint32_t effort = 0;   // webp, avif, jxl; of png the compression
    std::array<std::uint8_t, 3> background{};
    std::uint32_t sharpen = 0;     // percent
    std::uint32_t made_above = 0;  // of images whose sides are both at most this none is made
    Limits limits;
};
static_assert(std::is_trivially_copyable_v<Recipe>);

// A variant that somebody asks for by name.
struct Order {
    Recipe recipe;
    // The number of its profile in the settings; nothing where its name says what it is, see
    // variant_options.h.
    std::optional<std::size_t> profile;
    // Extensions that its original may have, the likeliest first.
    std::vector<std::string> original_extensions;
};

// What UUID_SIZE.EXTENSION stands for ("" as size: UUID.EXTENSION); nothing where no profile has
// it, so that nobody can order what is not configured. One without a profile may only be ordered by
// who has signed for it, which is the caller's to know.
std::optional<Order> find_order(const conf::Settings& settings, std::string_view size,
                                std::string_view extension);

// A variant of one image: what find_order is asked for it.
struct VariantName {
    std::string size;
    std::string extension;
    // "_small.webp", ".webp": what follows the image's UUID.
    std::string ending() const;
    bool operator==(const VariantName&) const = default;
};

// All variants of an original with this extension, in the order of the settings; with `at_upload`
// only those that are made when it arrives.
std::vector<VariantName> variants_of(const conf::Settings& settings,
                                     std::string_view original_extension, bool at_upload);

// What may be shown in place of a variant that is not there yet.
struct StandIn {
    VariantName name;
    bool is_quick = false;  // made soon where it is not there either
};
// The nearest first: of the same size in other formats, then the larger sizes, then the smaller.
// `may_move`: the original is known to be an animation, or may be one.
std::vector<StandIn> stand_ins_of(const conf::Settings& settings, const VariantName& wanted,
                                  std::string_view original_extension, bool may_move = false);

}  // namespace tidepool::transform
