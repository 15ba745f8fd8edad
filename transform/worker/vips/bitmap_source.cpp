#include "transform/worker/vips/bitmap_source.h"

#include "transform/bitmap.h"

#include <memory>
#include <utility>

namespace tidepool::transform {

namespace {

int generate_bitmap(VipsRegion* out, void*, void* data, void*, gboolean*) {
    const auto& bitmap = *static_cast<const Bitmap*>(data);
    const VipsRect& wanted = out->valid;
    for (int y = wanted.top; y < wanted.top + wanted.height; ++y)
        bitmap.read(wanted.left, y, wanted.width, VIPS_REGION_ADDR(out, wanted.left, y));
    return 0;
}

void end_bitmap(VipsImage*, void* data) {
    const std::unique_ptr<Bitmap> ended(static_cast<Bitmap*>(data));
}

Image head_of(const Bitmap& bitmap) {
    Image image(vips_image_new());
    vips_image_init_fields(image.get(), bitmap.width(), bitmap.height(), bitmap.bands(),
                           VIPS_FORMAT_UCHAR, VIPS_CODING_NONE, VIPS_INTERPRETATION_sRGB, 1, 1);
    return image;
}

}  // namespace

Result<Image> look_at_bitmap(std::span<const char> bytes) {
    const auto bitmap = Bitmap::open(bytes);
    if (!bitmap) return std::unexpected(bitmap.error());
    return head_of(*bitmap);
}

Result<Image> open_bitmap(std::span<const char> bytes) {
    auto bitmap = Bitmap::open(bytes);
    if (!bitmap) return std::unexpected(std::move(bitmap.error()));
    if (!bitmap->is_complete()) return fail(ErrorKind::corrupt, "decode: bmp: the file was cut");
    Image image = head_of(*bitmap);
    if (vips_image_pipelinev(image.get(), VIPS_DEMAND_STYLE_THINSTRIP, nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "decode");
    // To the image, which ends it.
    Bitmap* const lent = std::make_unique<Bitmap>(std::move(*bitmap)).release();
    g_signal_connect(image.get(), "close", G_CALLBACK(end_bitmap), lent);
    if (vips_image_generate(image.get(), nullptr, generate_bitmap, nullptr, lent, nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "decode");
    return image;
}

}  // namespace tidepool::transform
