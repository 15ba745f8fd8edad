#include "transform/worker/vips/treatment.h"

#include "transform/worker/vips/colour.h"

#include <array>
#include <utility>
#include <vector>

namespace tidepool::transform {

namespace {

bool has_alpha(Format format) {
    return format != Format::jpeg;
}
bool has_grey(Format format) {
    return format == Format::jpeg || format == Format::png;
}

bool is_smaller(const Shape& shape, const Source& source) {
    return shape.width != source.upright_width() || shape.height != source.upright_height();
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

Result<Image> treat_frame(Image in, const Source& source, const Treatment& treatment) {
    // Before it is turned, which needs it in memory, it is made small.
    const Shape& shape = treatment.shape;
    const bool lies = source.orientation >= 5;
    auto image =
        resize(std::move(in), lies ? shape.height : shape.width, lies ? shape.width : shape.height);
    if (image) image = to_srgb(*image);
    if (image) image = make_upright(std::move(*image), source.orientation);
    if (image) image = cut(std::move(*image), shape, treatment.gravity);
    if (image) image = sharpen(std::move(*image), treatment.sharpen);
    return image;
}

// A filter over the column would mix the end of one frame into the beginning of the next.
Result<Image> treat_frames(const Image& column, const Source& source, const Treatment& treatment) {
    const auto memory = in_memory(column);
    if (!memory) return std::unexpected(memory.error());
    std::vector<Image> frames;
    std::vector<VipsImage*> borrowed;
    for (int i = 0; i < source.frames; ++i) {
        Image frame;
        if (vips_extract_area(memory->get(), frame.slot(), 0, i * source.height, source.width,
                              source.height, nullptr) != 0)
            return fail_vips(ErrorKind::corrupt, "take a frame");
        auto treated = treat_frame(std::move(frame), source, treatment);
        if (!treated) return treated;
        borrowed.push_back(frames.emplace_back(std::move(*treated)).get());
    }
    Image joined;
    Image out;
    if (vips_arrayjoin(borrowed.data(), joined.slot(), source.frames, "across", 1, nullptr) != 0 ||
        vips_copy(joined.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "join the frames");
    vips_image_set_int(out.get(), VIPS_META_PAGE_HEIGHT, treatment.shape.kept_height);
    return out;
}

}  // namespace

Treatment treatment_of(const Recipe& recipe, const Source& source) {
    Treatment treatment;
    treatment.shape = shape_of(recipe, source.upright_width(), source.upright_height());
    if (treatment.shape.is_cut()) treatment.gravity = recipe.gravity;
    if (is_smaller(treatment.shape, source)) treatment.sharpen = recipe.sharpen;
    return treatment;
}

bool mixes_pixels(const Treatment& treatment, const Source& source) {
    return is_smaller(treatment.shape, source);
}

Result<Image> treat(Image in, const Source& source, bool animated, const Treatment& treatment) {
    return animated ? treat_frames(in, source, treatment)
                    : treat_frame(std::move(in), source, treatment);
}

Result<Image> fit_format(Image in, const Recipe& recipe) {
    Result<Image> image = std::move(in);
    if (!has_grey(recipe.format) || vips_image_hasalpha(image->get()) != FALSE)
        image = to_three_bands(std::move(*image));
    if (image && !has_alpha(recipe.format))
        image = without_alpha(std::move(*image), recipe.background);
    return image;
}

Result<Image> in_memory(const Image& in) {
    Image memory(vips_image_copy_memory(in.get()));
    if (memory.get() == nullptr) return fail_vips(ErrorKind::corrupt, "decode");
    return memory;
}

}  // namespace tidepool::transform
