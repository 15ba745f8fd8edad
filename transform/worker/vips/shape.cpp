#include "transform/worker/vips/shape.h"

#include "transform/worker/resample.h"
#include "transform/worker/vips/focus.h"

#include <algorithm>
#include <utility>

namespace tidepool::transform {

namespace {

using conf::VariantProfile;

Result<Image> resize_bands(const Image& in, int width, int height) {
    Image out;
    if (vips_resize(in.get(), out.slot(), static_cast<double>(width) / in.width(), "vscale",
                    static_cast<double>(height) / in.height(), "kernel", VIPS_KERNEL_LANCZOS3,
                    nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "resize");
    return out;
}

bool is_for_resampler(const Image& in, int width, int height) {
    const int bands = vips_image_get_bands(in.get());
    return vips_image_get_format(in.get()) == VIPS_FORMAT_UCHAR &&
           vips_image_get_coding(in.get()) == VIPS_CODING_NONE &&
           (bands == 1 || bands == 3 || bands == 4) && width <= in.width() && height <= in.height();
}

class Region {
  public:
    explicit Region(const Image& image) : region_(vips_region_new(image.get())) {}
    ~Region() {
        if (region_ != nullptr) g_object_unref(region_);
    }
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;

    VipsRegion* get() const { return region_; }

  private:
    VipsRegion* region_;
};

// The source's rows as they are decoded, the result in memory.
Result<Image> resample(const Image& in, int width, int height) {
    constexpr int kStrip = 16;  // rows; what decoders make at a time
    Image out(vips_image_new_memory());
    if (out.get() == nullptr ||
        vips_image_pipelinev(out.get(), VIPS_DEMAND_STYLE_THINSTRIP, in.get(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "resize");
    out.get()->Xsize = width;
    out.get()->Ysize = height;
    const Region region(in);
    if (region.get() == nullptr || vips_image_write_prepare(out.get()) != 0)
        return fail_vips(ErrorKind::corrupt, "resize");
    Resampler resampler({.in_width = in.width(),
                         .in_height = in.height(),
                         .out_width = width,
                         .out_height = height,
                         .bands = vips_image_get_bands(in.get())});
    int made = 0;
    for (int top = 0; top < in.height(); top += kStrip) {
        const VipsRect strip{0, top, in.width(), std::min(kStrip, in.height() - top)};
        if (vips_region_prepare(region.get(), &strip) != 0)
            return fail_vips(ErrorKind::corrupt, "decode");
        for (int y = top; y < top + strip.height; ++y) {
            resampler.push(VIPS_REGION_ADDR(region.get(), 0, y));
            while (resampler.pull(VIPS_IMAGE_ADDR(out.get(), 0, made)))
                ++made;
        }
    }
    return out;
}

// So that what is transparent does not bleed its hidden colour into what is not.
Result<Image> resize_with_alpha(const Image& in, int width, int height) {
    Image weighted;
    if (vips_premultiply(in.get(), weighted.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "weight by alpha");
    auto small = resize_bands(weighted, width, height);
    if (!small) return small;
    Image unweighted;
    Image out;
    if (vips_unpremultiply(small->get(), unweighted.slot(), nullptr) != 0 ||
        vips_cast(unweighted.get(), out.slot(), vips_image_get_format(in.get()), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "weight by alpha");
    return out;
}

// Where `inner` begins in `outer`.
int offset_of(int outer, int inner, bool at_start, bool at_end) {
    if (at_start) return 0;
    return at_end ? outer - inner : (outer - inner) / 2;
}

}  // namespace

Result<Image> resize(Image in, int width, int height) {
    if (in.width() == width && in.height() == height) return in;
    if (vips_image_hasalpha(in.get()) != FALSE) return resize_with_alpha(in, width, height);
    return is_for_resampler(in, width, height) ? resample(in, width, height)
                                               : resize_bands(in, width, height);
}

Result<Image> make_upright(Image in, int orientation) {
    if (orientation == 1) return in;
    // Sources are read once from top to bottom, which is not how they are turned.
    Image memory(vips_image_copy_memory(in.get()));
    if (memory.get() == nullptr) return fail_vips(ErrorKind::corrupt, "decode");
    Image out;
    if (vips_autorot(memory.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "turn upright");
    return out;
}

Result<Image> cut(Image in, const Shape& shape, VariantProfile::Gravity gravity) {
    using Gravity = VariantProfile::Gravity;
    if (!shape.is_cut()) return in;
    Offset offset{offset_of(shape.width, shape.kept_width, gravity == Gravity::west,
                            gravity == Gravity::east),
                  offset_of(shape.height, shape.kept_height, gravity == Gravity::north,
                            gravity == Gravity::south)};
    if (gravity == Gravity::entropy || gravity == Gravity::attention) {
        // It is read twice: to be judged, and to be kept.
        Image memory(vips_image_copy_memory(in.get()));
        if (memory.get() == nullptr) return fail_vips(ErrorKind::corrupt, "decode");
        const auto found =
            most_interesting(memory, shape.kept_width, shape.kept_height,
                             gravity == Gravity::entropy ? Interest::contrast : Interest::colour);
        if (!found) return std::unexpected(found.error());
        offset = *found;
        in = std::move(memory);
    }
    Image out;
    if (vips_extract_area(in.get(), out.slot(), offset.left, offset.top, shape.kept_width,
                          shape.kept_height, nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "cut");
    return out;
}

Result<Image> sharpen(Image in, unsigned percent) {
    if (percent == 0) return in;
    constexpr double kSigma = 0.5;      // of what resizing softens
    constexpr double kStrongest = 4.0;  // the slope at edges, at 100 percent
    Image out;
    if (vips_sharpen(in.get(), out.slot(), "sigma", kSigma, "m1", 0.0, "m2",
                     kStrongest * percent / 100, nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "sharpen");
    return out;
}

}  // namespace tidepool::transform
