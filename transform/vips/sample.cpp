#include "transform/vips/sample.h"

#include "transform/vips/image.h"

namespace tidepool::transform {

Result<Bytes> sample_image() {
    if (auto started = start_vips(); !started) return std::unexpected(started.error());
    constexpr int kSide = 16;
    Image black;
    Image rgb;
    Image wide_gamut;
    void* data = nullptr;
    std::size_t size = 0;
    if (vips_black(black.slot(), kSide, kSide, "bands", 4, nullptr) != 0 ||
        vips_copy(black.get(), rgb.slot(), "interpretation", VIPS_INTERPRETATION_sRGB, nullptr) !=
            0 ||
        vips_icc_transform(rgb.get(), wide_gamut.slot(), "p3", "input-profile", "srgb", nullptr) !=
            0 ||
        vips_pngsave_buffer(wide_gamut.get(), &data, &size, nullptr) != 0)
        return fail_vips(ErrorKind::misconfigured, "make a sample");
    return Bytes(data, size, g_free);
}

}  // namespace tidepool::transform
