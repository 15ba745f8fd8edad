#include "transform/worker/vips/source.h"

#include "transform/content_type.h"
#include "transform/worker/vips/bitmap_source.h"
#include "transform/worker/vips/heif.h"
#include "transform/worker/vips/jpeg_source.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

constexpr std::string_view kBitmap = "image/bmp";

// Of libvips; named, so that no other one can be reached whatever the bytes look like.
struct Loader {
    std::string_view type;
    const char* operation;
    bool has_frames;
};

constexpr std::array kLoaders{
    Loader{"image/jpeg", "jpegload_buffer", false}, Loader{"image/png", "pngload_buffer", false},
    Loader{"image/webp", "webpload_buffer", true},  Loader{"image/gif", "gifload_buffer", true},
    Loader{"image/avif", "heifload_buffer", false}, Loader{"image/heic", "heifload_buffer", false},
};

const Loader* loader_of(std::string_view type) {
    const auto* const found = std::ranges::find(kLoaders, type, &Loader::type);
    return found == kLoaders.end() ? nullptr : found;
}

// The bytes are lent to libvips for as long as the image lives.
VipsBlob* lend(std::span<const char> bytes) {
    return vips_blob_new(nullptr, bytes.data(), bytes.size());
}

Result<Image> load(const Loader& loader, std::span<const char> bytes, const LoadPlan& plan) {
    VipsBlob* const blob = lend(bytes);
    VipsOperation* operation = vips_operation_new(loader.operation);
    if (operation == nullptr) {
        vips_area_unref(VIPS_AREA(blob));
        return fail_vips(ErrorKind::misconfigured, "find loader");
    }
    g_object_set(operation, "buffer", blob, "access", VIPS_ACCESS_SEQUENTIAL, "fail-on",
                 VIPS_FAIL_ON_TRUNCATED, nullptr);
    vips_area_unref(VIPS_AREA(blob));
    if (plan.all_frames) g_object_set(operation, "n", -1, nullptr);
    if (plan.jpeg_shrink > 1) g_object_set(operation, "shrink", plan.jpeg_shrink, nullptr);
    if (plan.webp_scale < 1) g_object_set(operation, "scale", plan.webp_scale, nullptr);

    Image image;
    const int failed = vips_cache_operation_buildp(&operation);
    if (failed == 0) g_object_get(operation, "out", image.slot(), nullptr);
    vips_object_unref_outputs(VIPS_OBJECT(operation));
    g_object_unref(operation);
    if (failed != 0) return fail_vips(ErrorKind::corrupt, "decode");
    return image;
}

// libjpeg can shrink by 2, 4 and 8 for less than nothing. Twice the wanted size is left for the
// last step, whose filter is better.
int jpeg_shrink_of(double shrink) {
    if (shrink >= 16) return 8;
    if (shrink >= 8) return 4;
    return shrink >= 4 ? 2 : 1;
}

// With a profile of its own. libvips' loader of HEIF and AVIF frees the file's with its own image
// (8.14), although images that were made of that still name it, such as one in memory; and it
// leaves out what is said by numbers.
Result<Image> with_own_profile(Image in, std::span<const char> file) {
    const std::span<const char> profile = in.blob(VIPS_META_ICC_NAME);
    if (profile.empty() && !has_p3_numbers(file)) return in;
    Image out;
    if (vips_copy(in.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "copy the head");
    if (!profile.empty()) {
        vips_image_set_blob_copy(out.get(), VIPS_META_ICC_NAME, profile.data(), profile.size());
        return out;
    }
    VipsBlob* p3 = nullptr;
    if (vips_profile_load("p3", &p3, nullptr) != 0)
        return fail_vips(ErrorKind::misconfigured, "load a profile");
    std::size_t size = 0;
    const void* const data = vips_blob_get(p3, &size);
    vips_image_set_blob_copy(out.get(), VIPS_META_ICC_NAME, data, size);
    vips_area_unref(VIPS_AREA(p3));
    return out;
}

}  // namespace

Result<Source> look_at_source(std::span<const char> bytes) {
    Source source;
    source.bytes = bytes;
    source.type = content_type_of(bytes);
    const Loader* const loader = loader_of(source.type);
    if (loader == nullptr && source.type != kBitmap) {
        return fail(ErrorKind::corrupt, fmt::format("a file of {} bytes that looks like {}",
                                                    bytes.size(), source.type));
    }
    auto head = loader == nullptr ? look_at_bitmap(bytes) : load(*loader, bytes, {});
    if (!head) return std::unexpected(std::move(head.error()));
    source.width = head->width();
    source.height = head->height();
    const bool has_frames = loader != nullptr && loader->has_frames;
    source.frames = has_frames ? head->number(VIPS_META_N_PAGES, 1) : 1;
    const int orientation = head->number(VIPS_META_ORIENTATION, 1);
    source.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    source.head = std::move(*head);
    return source;
}

Result<void> check_bytes(std::uint64_t bytes, const Limits& limits) {
    if (bytes <= limits.source_bytes) return {};
    return fail(ErrorKind::too_large,
                fmt::format("{} bytes, and at most {} are decoded", bytes, limits.source_bytes));
}

Result<void> check_limits(const Source& source, bool animated, const Limits& limits) {
    const auto frame_pixels =
        static_cast<std::uint64_t>(source.width) * static_cast<std::uint64_t>(source.height);
    if (frame_pixels > limits.pixels) {
        return fail(ErrorKind::too_large, fmt::format("{} x {} pixels, and at most {} are decoded",
                                                      source.width, source.height, limits.pixels));
    }
    if (!animated || source.frames <= 1) return {};
    const auto frames = static_cast<std::uint64_t>(source.frames);
    if (frames > limits.frames) {
        return fail(ErrorKind::too_large, fmt::format("{} frames, and at most {} are decoded",
                                                      source.frames, limits.frames));
    }
    if (frames * frame_pixels > limits.animation_pixels) {
        return fail(
            ErrorKind::too_large,
            fmt::format("{} frames of {} x {} pixels, and at most {} pixels are decoded",
                        source.frames, source.width, source.height, limits.animation_pixels));
    }
    return {};
}

LoadPlan plan_load(const Source& source, bool animated, double shrink) {
    LoadPlan plan;
    plan.all_frames = animated && source.frames > 1;
    if (source.type == "image/jpeg") plan.jpeg_shrink = jpeg_shrink_of(shrink);
    // Frames of an animation must keep their places, so they are not scaled here.
    if (source.type == "image/webp" && source.frames == 1 && shrink > 2)
        plan.webp_scale = 2 / shrink;
    return plan;
}

Result<Image> open_source(const Source& source, const LoadPlan& plan) {
    if (source.type == kBitmap) return open_bitmap(source.bytes);
    if (source.type == "image/jpeg") {
        if (auto within = check_jpeg_scans(source.head, source.bytes); !within)
            return std::unexpected(std::move(within.error()));
        if (is_plain_jpeg(source.head))
            return open_jpeg(source.head, source.bytes, plan.jpeg_shrink);
    }
    auto image = load(*loader_of(source.type), source.bytes, plan);
    if (image && (source.type == "image/avif" || source.type == "image/heic"))
        image = with_own_profile(std::move(*image), source.bytes);
    return image;
}

}  // namespace tidepool::transform
