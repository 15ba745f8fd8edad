#include "transform/worker/vips/colour.h"

#include <span>
#include <utility>

namespace tidepool::transform {

namespace {

bool is_grey(VipsInterpretation interpretation) {
    return interpretation == VIPS_INTERPRETATION_B_W ||
           interpretation == VIPS_INTERPRETATION_GREY16;
}

// True where lcms can use the embedded profile for this kind of image; a broken one, or one of
// another image, is left out as browsers do.
bool has_usable_profile(const Image& in) {
    const std::span<const char> profile = in.blob(VIPS_META_ICC_NAME);
    return !profile.empty() &&
           vips_icc_is_compatible_profile(in.get(), profile.data(), profile.size()) != FALSE;
}

// Perceptual, which for profiles of primaries and curves (all cameras and screens) is the same as
// relative, and for those of printers keeps black black.
Result<Image> bands_through_profile(const Image& in, bool embedded, const char* otherwise) {
    Image out;
    if (vips_icc_transform(in.get(), out.slot(), "srgb", "embedded", embedded ? TRUE : FALSE,
                           "input-profile", otherwise, "intent", VIPS_INTENT_PERCEPTUAL, "depth", 8,
                           nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "convert colours");
    return out;
}

// libvips carries alpha around the profile and then cuts it off at 255, whatever its depth was
// (8.14): so alpha of 16 bits is taken round here.
Result<Image> through_profile(const Image& in, bool embedded, const char* otherwise) {
    if (vips_image_get_format(in.get()) != VIPS_FORMAT_USHORT ||
        vips_image_hasalpha(in.get()) == FALSE)
        return bands_through_profile(in, embedded, otherwise);
    const int last = vips_image_get_bands(in.get()) - 1;
    Image colours;
    Image deep_alpha;
    Image alpha;
    if (vips_extract_band(in.get(), colours.slot(), 0, "n", last, nullptr) != 0 ||
        vips_extract_band(in.get(), deep_alpha.slot(), last, nullptr) != 0 ||
        vips_msb(deep_alpha.get(), alpha.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "take alpha apart");
    const auto converted = bands_through_profile(colours, embedded, otherwise);
    if (!converted) return std::unexpected(converted.error());
    Image out;
    if (vips_bandjoin2(converted->get(), alpha.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "put alpha back");
    return out;
}

Result<Image> to_bytes(Image in) {
    if (vips_image_get_format(in.get()) == VIPS_FORMAT_UCHAR) return in;
    Image out;
    if (vips_cast_uchar(in.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "convert to eight bits");
    return out;
}

Result<Image> to_space(const Image& in, VipsInterpretation space) {
    Image out;
    if (vips_colourspace(in.get(), out.slot(), space, nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "convert colours");
    return to_bytes(std::move(out));
}

}  // namespace

Result<Image> to_srgb(const Image& in) {
    const VipsInterpretation from = vips_image_get_interpretation(in.get());
    const bool cmyk = from == VIPS_INTERPRETATION_CMYK;
    if (has_usable_profile(in)) return through_profile(in, true, cmyk ? "cmyk" : "srgb");
    if (cmyk) return through_profile(in, false, "cmyk");
    return to_space(in, is_grey(from) ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB);
}

Result<Image> to_three_bands(Image in) {
    if (!is_grey(vips_image_get_interpretation(in.get()))) return in;
    return to_space(in, VIPS_INTERPRETATION_sRGB);
}

}  // namespace tidepool::transform
