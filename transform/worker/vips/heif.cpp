#include "transform/worker/vips/heif.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <libheif/heif.h>

namespace tidepool::transform {

namespace {

constexpr int kRows = 64;         // that are made at a time
constexpr int kFineQuality = 90;  // from there on colours are kept at full resolution
// The speed of no effort, as libaom has it. At effort 4 that is speed 6, below which libaom 3.6
// takes three times as long for a tenth of a dB (see bench/README.md, variants).
constexpr int kSpeedWithoutEffort = 10;
constexpr int kMostSpeed = 9;

// What libheif made, and what gives it back.
template <class Thing, void (*Release)(Thing*)>
struct Releaser {
    void operator()(Thing* thing) const { Release(thing); }
};
template <class Thing, auto Release>
using Owned = std::unique_ptr<Thing, Releaser<Thing, Release>>;
using Context = Owned<heif_context, heif_context_free>;
using Encoder = Owned<heif_encoder, heif_encoder_release>;

void release_picture(heif_image* picture) {
    heif_image_release(picture);
}
void release_handle(heif_image_handle* handle) {
    heif_image_handle_release(handle);
}
using Picture = Owned<heif_image, release_picture>;
using Handle = Owned<heif_image_handle, release_handle>;

bool failed(const heif_error& error) {
    return error.code != heif_error_Ok;
}

std::unexpected<Error> fail_heif(const heif_error& error) {
    return fail(ErrorKind::too_large, fmt::format("encode AVIF, which may need more memory than a "
                                                  "worker may have: {}",
                                                  error.message));
}

Result<Encoder> encoder_for(heif_context* context, const Recipe& recipe) {
    heif_encoder* made = nullptr;
    if (failed(heif_context_get_encoder_for_format(context, heif_compression_AV1, &made)))
        return fail(ErrorKind::misconfigured, "libheif has no encoder of AVIF");
    Encoder encoder(made);
    const auto quality = static_cast<int>(recipe.quality);
    const int speed = std::min(kSpeedWithoutEffort - static_cast<int>(recipe.effort), kMostSpeed);
    const char* const chroma = quality >= kFineQuality ? "444" : "420";
    // Else it takes four threads or more for one image, whatever else is being made: more processor
    // time and memory for somewhat more bytes.
    if (failed(heif_encoder_set_parameter_integer(made, "threads", 1)) ||
        failed(heif_encoder_set_lossy_quality(made, quality)) ||
        failed(heif_encoder_set_parameter_integer(made, "speed", speed)) ||
        failed(heif_encoder_set_parameter_string(made, "chroma", chroma)))
        return fail(ErrorKind::misconfigured, "libheif's encoder of AVIF cannot be set");
    return encoder;
}

Result<Picture> picture_of(const Image& any) {
    Image image;
    if (vips_cast_uchar(any.get(), image.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "convert to eight bits");
    const int width = image.width();
    const int height = image.height();
    const int bands = vips_image_get_bands(image.get());
    heif_image* made = nullptr;
    heif_error error = heif_image_create(
        width, height, heif_colorspace_RGB,
        bands == 4 ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, &made);
    if (failed(error)) return fail_heif(error);
    Picture picture(made);
    error = heif_image_add_plane(made, heif_channel_interleaved, width, height, 8);
    if (failed(error)) return fail_heif(error);
    int stride = 0;
    std::uint8_t* const rows = heif_image_get_plane(made, heif_channel_interleaved, &stride);
    const auto row_bytes = static_cast<std::size_t>(width) * static_cast<std::size_t>(bands);
    const std::unique_ptr<VipsRegion, void (*)(void*)> region(vips_region_new(image.get()),
                                                              g_object_unref);
    for (int top = 0; top < height; top += kRows) {
        const VipsRect strip{0, top, width, std::min(kRows, height - top)};
        if (vips_region_prepare(region.get(), &strip) != 0)
            return fail_vips(ErrorKind::corrupt, "decode and encode");
        for (int y = top; y < top + strip.height; ++y) {
            std::memcpy(rows + static_cast<std::ptrdiff_t>(y) * stride,
                        VIPS_REGION_ADDR(region.get(), 0, y), row_bytes);
        }
    }
    return picture;
}

// libheif gives a file in one piece.
heif_error take_file(heif_context*, const void* data, std::size_t size, void* to) {
    void* const copy = g_try_malloc(size);
    if (copy == nullptr)
        return {heif_error_Memory_allocation_error, heif_suberror_Unspecified, "no memory"};
    std::memcpy(copy, data, size);
    *static_cast<Bytes*>(to) = Bytes(copy, size, g_free);
    return {heif_error_Ok, heif_suberror_Unspecified, "taken"};
}

}  // namespace

Result<Bytes> encode_avif(const Image& image, const Recipe& recipe) {
    const Context context(heif_context_alloc());
    const auto encoder = encoder_for(context.get(), recipe);
    if (!encoder) return std::unexpected(encoder.error());
    auto picture = picture_of(image);
    if (!picture) return std::unexpected(picture.error());
    heif_error error =
        heif_context_encode_image(context.get(), picture->get(), encoder->get(), nullptr, nullptr);
    picture->reset();
    if (failed(error)) return fail_heif(error);
    Bytes file;
    heif_writer writer{1, take_file};
    error = heif_context_write(context.get(), &writer, &file);
    if (failed(error)) return fail_heif(error);
    return file;
}

bool has_p3_numbers(std::span<const char> file) {
    const Context context(heif_context_alloc());
    heif_image_handle* made = nullptr;
    if (failed(heif_context_read_from_memory_without_copy(context.get(), file.data(), file.size(),
                                                          nullptr)) ||
        failed(heif_context_get_primary_image_handle(context.get(), &made)))
        return false;
    const Handle handle(made);
    heif_color_profile_nclx* numbers = nullptr;
    if (failed(heif_image_handle_get_nclx_color_profile(made, &numbers))) return false;
    const Owned<heif_color_profile_nclx, heif_nclx_color_profile_free> owned(numbers);
    return numbers->color_primaries == heif_color_primaries_SMPTE_EG_432_1 &&
           numbers->transfer_characteristics == heif_transfer_characteristic_IEC_61966_2_1;
}

}  // namespace tidepool::transform
