#include "transform/worker/vips/sample.h"

#include "transform/worker/vips/image.h"

namespace tidepool::transform {

namespace {

Result<Image> sample_pixels() {
    if (auto started = start_vips(); !started) return std::unexpected(started.error());
    constexpr int kSide = 16;
    Image black;
    Image rgb;
    if (vips_black(black.slot(), kSide, kSide, "bands", 4, nullptr) != 0 ||
        vips_copy(black.get(), rgb.slot(), "interpretation", VIPS_INTERPRETATION_sRGB, nullptr) !=
            0)
        return fail_vips(ErrorKind::misconfigured, "make a sample");
    return rgb;
}

}  // namespace

Result<Bytes> sample_image() {
    const auto pixels = sample_pixels();
    if (!pixels) return std::unexpected(pixels.error());
    Image wide_gamut;
    void* data = nullptr;
    std::size_t size = 0;
    if (vips_icc_transform(pixels->get(), wide_gamut.slot(), "p3", "input-profile", "srgb",
                           nullptr) != 0 ||
        vips_pngsave_buffer(wide_gamut.get(), &data, &size, nullptr) != 0)
        return fail_vips(ErrorKind::misconfigured, "make a sample");
    return Bytes(data, size, g_free);
}

Result<Bytes> sample_photograph() {
    const auto pixels = sample_pixels();
    if (!pixels) return std::unexpected(pixels.error());
    vips_image_set_int(pixels->get(), VIPS_META_ORIENTATION, 6);
    vips_image_set_string(pixels->get(), "exif-ifd0-Make", "tidepool");
    vips_image_set_string(pixels->get(), "exif-ifd2-DateTimeOriginal", "2026:02:25 13:14:15");
    vips_image_set_string(pixels->get(), "exif-ifd3-GPSLatitude", "48/1 8/1 0/1");
    void* data = nullptr;
    std::size_t size = 0;
    if (vips_jpegsave_buffer(pixels->get(), &data, &size, nullptr) != 0)
        return fail_vips(ErrorKind::misconfigured, "make a sample");
    return Bytes(data, size, g_free);
}

}  // namespace tidepool::transform
