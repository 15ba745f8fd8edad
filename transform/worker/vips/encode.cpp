#include "transform/worker/vips/encode.h"

#include "transform/worker/vips/heif.h"
#include "transform/worker/webp_file.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace tidepool::transform {

namespace {

// What savers read of an animation.
constexpr std::array<std::string_view, 4> kKept{VIPS_META_PAGE_HEIGHT, VIPS_META_N_PAGES, "delay",
                                                "loop"};

// The longest side that a format can say.
int longest_side_of(Format format) {
    switch (format) {
        case Format::webp:
            return 16'383;
        case Format::avif:
            return 16'384;  // libheif's own limit
        case Format::jpeg:
            return 65'500;  // libjpeg's
        case Format::gif:
            return 65'535;
        case Format::png:
        case Format::jxl:
            break;
    }
    return 1'000'000;
}

struct Buffer {
    void* data = nullptr;
    std::size_t size = 0;
};

int save(VipsImage* image, const Recipe& recipe, bool palette, Buffer& to) {
    const auto quality = static_cast<int>(recipe.quality);
    const auto effort = static_cast<int>(recipe.effort);
    switch (recipe.format) {
        case Format::webp:
            return vips_webpsave_buffer(image, &to.data, &to.size, "Q", quality, "effort", effort,
                                        "strip", TRUE, nullptr);
        case Format::jpeg:
            return vips_jpegsave_buffer(image, &to.data, &to.size, "Q", quality, "optimize-coding",
                                        TRUE, "interlace", recipe.progressive ? TRUE : FALSE,
                                        "strip", TRUE, nullptr);
        case Format::png:
            return vips_pngsave_buffer(
                image, &to.data, &to.size, "compression", effort, "palette", palette ? TRUE : FALSE,
                "filter", palette ? VIPS_FOREIGN_PNG_FILTER_NONE : VIPS_FOREIGN_PNG_FILTER_ALL,
                "strip", TRUE, nullptr);
        case Format::gif:
            return vips_gifsave_buffer(image, &to.data, &to.size, "strip", TRUE, nullptr);
        case Format::jxl:
            return vips_jxlsave_buffer(image, &to.data, &to.size, "Q", quality, "effort", effort,
                                       "strip", TRUE, nullptr);
        case Format::avif:
            break;  // see heif.h
    }
    return -1;
}

Result<Bytes> saved(const Image& image, const Recipe& recipe, bool palette) {
    Buffer buffer;
    if (save(image.get(), recipe, palette, buffer) != 0)
        return fail_vips(ErrorKind::corrupt, "decode and encode");
    if (recipe.format == Format::webp)
        buffer.size = drop_webp_metadata({static_cast<char*>(buffer.data), buffer.size});
    return Bytes(buffer.data, buffer.size, g_free);
}

}  // namespace

Result<Image> without_metadata(const Image& in) {
    Image out;
    // A copy of the head, not of the pixels: fields of a shared image must not be changed.
    if (vips_copy(in.get(), out.slot(), nullptr) != 0)
        return fail_vips(ErrorKind::corrupt, "copy the head");
    char** const fields = vips_image_get_fields(out.get());
    for (char** field = fields; *field != nullptr; ++field) {
        // Width, height and the like are fields too, and cannot be removed.
        if (std::ranges::find(kKept, *field) == kKept.end()) vips_image_remove(out.get(), *field);
    }
    g_strfreev(fields);
    return out;
}

Result<Bytes> encode(const Image& image, const Recipe& recipe, bool palette) {
    const int longest = std::max(image.width(), vips_image_get_page_height(image.get()));
    if (longest > longest_side_of(recipe.format)) {
        return fail(ErrorKind::too_large,
                    fmt::format("{} pixels in a row or column, which {} cannot have", longest,
                                name_of(recipe.format)));
    }
    auto bytes =
        recipe.format == Format::avif ? encode_avif(image, recipe) : saved(image, recipe, palette);
    if (bytes && bytes->view().size() > recipe.limits.result_bytes) {
        return fail(ErrorKind::too_large,
                    fmt::format("a variant of {} bytes, and at most {} are kept",
                                bytes->view().size(), recipe.limits.result_bytes));
    }
    return bytes;
}

}  // namespace tidepool::transform
