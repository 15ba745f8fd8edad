#include "transform/inspection.h"

#include "transform/blur_hash.h"
#include "transform/exif.h"

namespace tidepool::transform {

namespace {

constexpr std::string_view kDecodedTypes[] = {"image/jpeg", "image/png",  "image/webp", "image/gif",
                                              "image/avif", "image/heic", "image/bmp"};

std::uint64_t count_of(std::int32_t number) {
    return static_cast<std::uint64_t>(number);
}

bool is_within(const Inspection& told, const Limits& limits) {
    return told.width > 0 && told.height > 0 && told.frames > 0 &&
           count_of(told.width) * count_of(told.height) <= limits.pixels &&
           (told.frames == 1 || count_of(told.frames) <= limits.frames);
}

}  // namespace

bool is_decoded_type(std::string_view type) {
    return std::ranges::find(kDecodedTypes, type) != std::end(kDecodedTypes);
}

std::optional<Inspection> believed(const Inspection& told, InspectDepth depth,
                                   const Limits& limits) {
    Inspection seen = told;
    for (auto* const text : {&seen.make, &seen.model, &seen.lens})
        text->set(std::string(text->view()));
    const auto has_form = [](std::string_view text, bool (*form)(std::string_view)) {
        return text.empty() || form(text);
    };
    const bool is_whole = is_decoded_type(seen.type.view()) && is_within(seen, limits) &&
                          seen.orientation >= 1 && seen.orientation <= 8 && seen.depth == depth &&
                          has_form(seen.taken.view(), is_exif_time) &&
                          (depth == InspectDepth::pixels ? is_blur_hash(seen.blur_hash.view())
                                                         : seen.blur_hash.view().empty());
    if (!is_whole) return std::nullopt;
    seen.has_alpha = seen.has_alpha != 0 ? 1 : 0;
    seen.has_position =
        seen.has_position != 0 && is_on_earth({seen.latitude, seen.longitude}) ? 1 : 0;
    if (seen.has_position == 0) seen.latitude = seen.longitude = 0;
    return seen;
}

}  // namespace tidepool::transform
