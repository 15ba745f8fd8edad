#include "transform/worker/inspect.h"

#include "transform/blur_hash.h"
#include "transform/exif.h"
#include "transform/whole_image.h"
#include "transform/worker/vips/colour.h"
#include "transform/worker/vips/image.h"
#include "transform/worker/vips/source.h"
#include "transform/worker/vips/treatment.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

void put_exif(const Source& source, Inspection& into) {
    const Exif exif = read_exif(source.head.blob(VIPS_META_EXIF_NAME));
    into.make.set(exif.make);
    into.model.set(exif.model);
    into.lens.set(exif.lens);
    into.taken.set(exif.taken);
    if (!exif.position) return;
    into.has_position = 1;
    into.latitude = exif.position->latitude;
    into.longitude = exif.position->longitude;
}

// As small as suffices for a few waves in each direction, as a variant of that size is made.
Result<Image> tiny_picture(const Source& source) {
    constexpr unsigned kLongestSide = 32;
    Recipe recipe;
    recipe.width = recipe.height = kLongestSide;
    recipe.format = Format::jpeg;  // which has no alpha
    recipe.background = {255, 255, 255};
    const Treatment treatment = treatment_of(recipe, source);
    const double shrink =
        std::min(static_cast<double>(source.upright_width()) / treatment.shape.width,
                 static_cast<double>(source.upright_height()) / treatment.shape.height);
    auto image = open_source(source, plan_load(source, false, shrink));
    if (image) image = treat(std::move(*image), source, false, treatment);
    if (image) image = fit_format(std::move(*image), recipe);
    if (image) image = to_three_bands(std::move(*image));
    if (image) image = in_memory(*image);
    return image;
}

Result<std::string> blur_hash_of(const Source& source) {
    const auto tiny = tiny_picture(source);
    if (!tiny) return std::unexpected(tiny.error());
    const auto bytes = static_cast<std::size_t>(VIPS_IMAGE_SIZEOF_IMAGE(tiny->get()));
    const bool is_portrait = tiny->height() > tiny->width();
    return blur_hash({VIPS_IMAGE_ADDR(tiny->get(), 0, 0), bytes}, tiny->width(), tiny->height(),
                     is_portrait ? BlurHashDetail{3, 4} : BlurHashDetail{4, 3});
}

Result<void> check_structure(std::span<const char> bytes, std::string_view type) {
    if (const auto other = other_format_within(bytes))
        return fail(ErrorKind::corrupt, fmt::format("it is {} as well as an image", *other));
    auto whole = check_whole(bytes, type);
    // Of a type that is never uploaded: what its decoder says has to do.
    if (!whole && whole.error().kind == ErrorKind::invalid) return {};
    return whole;
}

}  // namespace

Result<Inspection> inspect(std::span<const char> bytes, const Limits& limits, InspectDepth depth) {
    if (auto started = start_vips(); !started) return std::unexpected(std::move(started.error()));
    if (auto within = check_bytes(bytes.size(), limits); !within)
        return std::unexpected(std::move(within.error()));
    const auto source = look_at_source(bytes);
    if (!source) return std::unexpected(source.error());
    if (auto within = check_limits(*source, true, limits); !within)
        return std::unexpected(std::move(within.error()));
    if (depth == InspectDepth::structure) {
        if (auto whole = check_structure(bytes, source->type); !whole)
            return std::unexpected(std::move(whole.error()));
    }
    Inspection seen;
    seen.type.set(source->type);
    seen.width = source->upright_width();
    seen.height = source->upright_height();
    seen.frames = source->frames;
    seen.orientation = static_cast<std::uint8_t>(source->orientation);
    seen.has_alpha = vips_image_hasalpha(source->head.get()) != FALSE ? 1 : 0;
    put_exif(*source, seen);
    seen.depth = depth;
    if (depth == InspectDepth::structure) return seen;
    const auto hash = blur_hash_of(*source);
    if (!hash) return std::unexpected(hash.error());
    seen.blur_hash.set(*hash);
    return seen;
}

}  // namespace tidepool::transform
