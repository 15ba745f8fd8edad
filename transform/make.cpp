#include "transform/make.h"

#include "transform/content_type.h"
#include "transform/vips/colour.h"
#include "transform/vips/encode.h"
#include "transform/vips/image.h"
#include "transform/vips/shape.h"
#include "transform/vips/source.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

// The one format whose animations we make.
bool keeps_frames(Format format) {
    return format == Format::webp;
}

bool has_alpha(Format format) {
    return format != Format::jpeg;
}
bool has_grey(Format format) {
    return format == Format::jpeg || format == Format::png;
}

Result<Image> without_alpha(Image in, const std::array<std::uint8_t, 3>& colour) {
    if (vips_image_hasalpha(in.get()) == FALSE) return in;
    const double background[] = {double(colour[0]), double(colour[1]), double(colour[2])};
    VipsArrayDouble* const values = vips_array_double_new(background, 3);
    Image out;
    const int failed = vips_flatten(in.get(), out.slot(), "background", values, nullptr);
    vips_area_unref(VIPS_AREA(values));
    if (failed != 0) return fail_vips(ErrorKind::corrupt, "put a background");
    return out;
}

// What is done to the pixels of each frame, or of a still image.
Result<Image> change(Image in, const Source& source, const Recipe& recipe, const Shape& shape) {
    // Before it is turned, which needs it in memory, it is made small.
    const bool lies = source.orientation >= 5;
    const bool smaller =
        shape.width != source.upright_width() || shape.height != source.upright_height();
    auto image =
        resize(std::move(in), lies ? shape.height : shape.width, lies ? shape.width : shape.height);
    if (image) image = to_srgb(*image);
    if (image) image = make_upright(std::move(*image), source.orientation);
    if (image) image = cut(std::move(*image), shape, recipe.gravity);
    if (image && smaller) image = sharpen(std::move(*image), recipe.sharpen);
    if (image && (!has_grey(recipe.format) || vips_image_hasalpha(image->get()) != FALSE))
        image = to_three_bands(std::move(*image));
    if (image && !has_alpha(recipe.format))
        image = without_alpha(std::move(*image), recipe.background);
    return image;
}

// Frames stand in one column, and each is changed by itself: a filter over the column would mix the
// end of one into the beginning of the next.
Result<Image> change_frames(const Image& column, const Source& source, const Recipe& recipe,
                            const Shape& shape) {
    const Image memory(vips_image_copy_memory(column.get()));
    if (memory.get() == nullptr) return fail_vips(ErrorKind::corrupt, "decode");
    std::vector<Image> frames;
    std::vector<VipsImage*> borrowed;
    for (int i = 0; i < source.frames; ++i) {
        Image frame;
        if (vips_extract_area(memory.get(), frame.slot(), 0, i * source.height, source.width,
                              source.height, nullptr) != 0)
            return fail_vips(ErrorKind::corrupt, "take a frame");
        auto changed = change(std::move(frame), source, recipe, shape);
        if (!changed) return changed;
        borrowed.push_back(frames.emplace_back(std::move(*changed)).get());
    }
    Image joined;
    Image out;
    if (vips_arrayjoin(borrowed.data(), joined.slot(), source.frames, "across", 1, nullptr) != 0 ||
        vips_copy(joined.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "join the frames");
    vips_image_set_int(out.get(), VIPS_META_PAGE_HEIGHT, shape.kept_height);
    return out;
}

bool has_palette(const Image& image) {
    return image.has("palette-bit-depth");
}

}  // namespace

Result<void> prepare_to_make() {
    return start_vips();
}

Result<Made> make(std::span<const char> bytes, const Recipe& recipe) {
    if (auto started = start_vips(); !started) return std::unexpected(std::move(started.error()));
    if (bytes.size() > recipe.limits.source_bytes) {
        return fail(ErrorKind::too_large, fmt::format("{} bytes, and at most {} are decoded",
                                                      bytes.size(), recipe.limits.source_bytes));
    }
    const auto source = look_at_source(bytes, keeps_frames(recipe.format), recipe.limits);
    if (!source) return std::unexpected(source.error());
    const bool animated = keeps_frames(recipe.format) && source->frames > 1;
    const int width = source->upright_width();
    const int height = source->upright_height();
    if (std::max(width, height) <= static_cast<int>(recipe.made_above)) {
        return fail(ErrorKind::not_found,
                    fmt::format("none is made of an image of {} x {}", width, height));
    }
    const Shape shape = shape_of(recipe, width, height);
    const double shrink = std::min(static_cast<double>(width) / shape.width,
                                   static_cast<double>(height) / shape.height);
    const auto opened = open_source(*source, animated, shrink);
    if (!opened) return std::unexpected(opened.error());
    const bool palette = has_palette(*opened);
    Image copy;
    if (!animated && vips_copy(opened->get(), copy.slot(), nullptr) != 0)
        return std::unexpected(fail_vips(ErrorKind::corrupt, "copy the head").error());
    auto image = animated ? change_frames(*opened, *source, recipe, shape)
                          : change(std::move(copy), *source, recipe, shape);
    if (image) image = without_metadata(*image);
    if (!image) return std::unexpected(std::move(image.error()));
    auto encoded = encode(*image, recipe, palette);
    if (!encoded) return std::unexpected(std::move(encoded.error()));
    return Made{std::move(*encoded), shape.kept_width, shape.kept_height,
                animated ? source->frames : 1};
}

bool is_dear(std::span<const char> source, const Recipe& recipe) {
    if (recipe.format == Format::avif || recipe.format == Format::jxl) return true;
    const std::string_view type = content_type_of(source);
    if (type == "image/avif" || type == "image/heic") return true;
    if (!keeps_frames(recipe.format)) return false;
    // Of a WebP the flag says it (RFC 9649, 2.7: "VP8X", length, flags); GIFs mostly are.
    if (type == "image/gif") return true;
    constexpr std::size_t kFlags = 20;
    constexpr char kAnimation = 2;
    return type == "image/webp" && source.size() > kFlags &&
           std::string_view(source.data() + 12, 4) == "VP8X" && (source[kFlags] & kAnimation) != 0;
}

}  // namespace tidepool::transform
