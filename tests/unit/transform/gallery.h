// Images for tests: made, saved in any format, and looked at again.
#pragma once

#include "conf/settings.h"
#include "transform/recipe.h"
#include "transform/worker/make.h"

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <vips/vips.h>

namespace tidepool::test {

struct Colour {
    int red = 0;
    int green = 0;
    int blue = 0;
    int alpha = 255;
};

inline constexpr Colour kRed{255, 0, 0};
inline constexpr Colour kGreen{0, 255, 0};
inline constexpr Colour kBlue{0, 0, 255};
inline constexpr Colour kYellow{255, 255, 0};
inline constexpr Colour kWhite{255, 255, 255};
inline constexpr Colour kGrey{128, 128, 128};

// An image in memory that can be drawn on. Owns it.
class Picture {
  public:
    explicit Picture(VipsImage* image) : image_(image) { REQUIRE(image_ != nullptr); }
    Picture(int width, int height, Colour colour, int bands = 3) {
        REQUIRE(transform::prepare_to_make());
        VipsImage* black = nullptr;
        REQUIRE(vips_black(&black, width, height, "bands", bands, nullptr) == 0);
        VipsImage* typed = nullptr;
        REQUIRE(vips_copy(black, &typed, "interpretation",
                          bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                          nullptr) == 0);
        g_object_unref(black);
        image_ = vips_image_copy_memory(typed);
        g_object_unref(typed);
        fill(0, 0, width, height, colour);
    }
    ~Picture() { g_object_unref(image_); }
    Picture(Picture&& other) noexcept : image_(std::exchange(other.image_, nullptr)) {}
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;

    VipsImage* get() const { return image_; }
    int width() const { return vips_image_get_width(image_); }
    int height() const { return vips_image_get_height(image_); }

    void fill(int left, int top, int width, int height, Colour colour) {
        double ink[] = {double(colour.red), double(colour.green), double(colour.blue),
                        double(colour.alpha)};
        REQUIRE(vips_draw_rect(image_, ink, vips_image_get_bands(image_), left, top, width, height,
                               "fill", TRUE, nullptr) == 0);
    }
    void set(const char* field, int value) { vips_image_set_int(image_, field, value); }
    void set(const char* field, const char* text) { vips_image_set_string(image_, field, text); }
    void set_blob(const char* field, std::string_view bytes) {
        vips_image_set_blob_copy(image_, field, bytes.data(), bytes.size());
    }

    // Through the profiles that libvips carries: "srgb", "p3", "cmyk".
    Picture in_profile(const char* profile) const {
        VipsImage* out = nullptr;
        REQUIRE(vips_icc_transform(image_, &out, profile, "input-profile", "srgb", nullptr) == 0);
        return in_memory(out);
    }
    Picture in_space(VipsInterpretation space) const {
        VipsImage* out = nullptr;
        REQUIRE(vips_colourspace(image_, &out, space, nullptr) == 0);
        return in_memory(out);
    }

    // `suffix` as libvips has it: ".png", ".jpg[Q=95]".
    std::string saved(const std::string& suffix) const {
        void* data = nullptr;
        std::size_t size = 0;
        const int failed =
            vips_image_write_to_buffer(image_, suffix.c_str(), &data, &size, nullptr);
        INFO(vips_error_buffer());
        REQUIRE(failed == 0);
        std::string bytes(static_cast<const char*>(data), size);
        g_free(data);
        return bytes;
    }

  private:
    static Picture in_memory(VipsImage* out) {
        Picture made(vips_image_copy_memory(out));
        g_object_unref(out);
        return made;
    }
    VipsImage* image_ = nullptr;
};

// Each corner has its own colour: red, green, yellow, blue, clockwise from the top left.
inline Picture with_corners(int width, int height) {
    Picture picture(width, height, kGrey);
    const int side = std::min(width, height) / 3;
    picture.fill(0, 0, side, side, kRed);
    picture.fill(width - side, 0, side, side, kGreen);
    picture.fill(width - side, height - side, side, side, kYellow);
    picture.fill(0, height - side, side, side, kBlue);
    return picture;
}

// What a file shows: all frames of it, in one column.
class Seen {
  public:
    explicit Seen(std::span<const char> bytes, const char* options = "") {
        VipsImage* const image =
            vips_image_new_from_buffer(bytes.data(), bytes.size(), options, nullptr);
        INFO(vips_error_buffer());
        REQUIRE(image != nullptr);
        image_ = vips_image_copy_memory(image);
        g_object_unref(image);
        REQUIRE(image_ != nullptr);
    }
    ~Seen() { g_object_unref(image_); }
    Seen(const Seen&) = delete;
    Seen& operator=(const Seen&) = delete;

    int width() const { return vips_image_get_width(image_); }
    int height() const { return vips_image_get_height(image_); }
    int bands() const { return vips_image_get_bands(image_); }
    bool has(const char* field) const { return vips_image_get_typeof(image_, field) != 0; }
    int number(const char* field) const {
        int value = -1;
        vips_image_get_int(image_, field, &value);
        return value;
    }
    std::vector<int> numbers(const char* field) const {
        int* values = nullptr;
        int count = 0;
        REQUIRE(vips_image_get_array_int(image_, field, &values, &count) == 0);
        return {values, values + count};
    }
    Colour at(int x, int y) const {
        if (x < 0 || x >= width() || y < 0 || y >= height()) FAIL("outside of the image");
        // Tests look at hundreds of thousands: as bytes where they are, which costs next to
        // nothing.
        if (vips_image_get_format(image_) == VIPS_FORMAT_UCHAR) {
            const VipsPel* const pixel = VIPS_IMAGE_ADDR(image_, x, y);
            return colour_of(std::span(pixel, static_cast<std::size_t>(bands())));
        }
        double* values = nullptr;
        int count = 0;
        REQUIRE(vips_getpoint(image_, &values, &count, x, y, nullptr) == 0);
        const Colour colour = colour_of(std::span(values, static_cast<std::size_t>(count)));
        g_free(values);
        return colour;
    }

  private:
    template <class Value>
    static Colour colour_of(std::span<Value> values) {
        Colour colour{int(values[0]), int(values[0]), int(values[0])};
        if (values.size() >= 3) colour = {int(values[0]), int(values[1]), int(values[2])};
        if (values.size() == 2 || values.size() == 4) colour.alpha = int(values.back());
        return colour;
    }

    VipsImage* image_ = nullptr;
};

inline bool is_near(Colour seen, Colour wanted, int tolerance) {
    const auto near = [tolerance](int a, int b) { return std::abs(a - b) <= tolerance; };
    return near(seen.red, wanted.red) && near(seen.green, wanted.green) &&
           near(seen.blue, wanted.blue) && near(seen.alpha, wanted.alpha);
}

inline void check_colour(const Seen& seen, int x, int y, Colour wanted, int tolerance) {
    const Colour found = seen.at(x, y);
    INFO("at " << x << "," << y << ": " << found.red << " " << found.green << " " << found.blue
               << " " << found.alpha << ", not " << wanted.red << " " << wanted.green << " "
               << wanted.blue << " " << wanted.alpha);
    CHECK(is_near(found, wanted, tolerance));
}

// The default settings' limits, good quality and little effort.
inline transform::Recipe recipe(transform::Format format, unsigned width = 0, unsigned height = 0) {
    conf::Settings settings;
    settings.profiles = {conf::VariantProfile{}};
    conf::VariantProfile& profile = settings.profiles[0];
    profile.formats = {std::string(name_of(format))};
    profile.width = width;
    profile.height = height;
    profile.webp_quality = profile.avif_quality = profile.jpeg_quality = profile.jxl_quality = 92;
    profile.webp_effort = profile.avif_effort = 0;
    profile.jxl_effort = 3;
    settings.variants.avif_above = 0;
    const std::string extension =
        format == transform::Format::jpeg ? "jpg" : std::string(name_of(format));
    return transform::find_order(settings, "", extension)->recipe;
}

inline std::string made_text(const transform::Made& made) {
    return {made.bytes.view().data(), made.bytes.view().size()};
}

// Makes it, or fails the test.
inline transform::Made make_or_fail(std::string_view source, const transform::Recipe& recipe) {
    auto made = transform::make(source, recipe);
    INFO((made ? std::string() : made.error().text));
    REQUIRE(made);
    return std::move(*made);
}

// A profile of primaries and one gamma (ICC.1:2001-04). The columns are those of the matrix to XYZ
// under D50.
struct Primaries {
    double red[3];
    double green[3];
    double blue[3];
    double gamma;
};
inline constexpr Primaries kAdobeRgb{{0.60974, 0.31111, 0.01947},
                                     {0.20528, 0.62567, 0.06087},
                                     {0.14919, 0.06322, 0.74457},
                                     2.19921875};
std::string icc_profile(const Primaries& primaries);
// Of grey with this gamma.
std::string grey_icc_profile(double gamma);

}  // namespace tidepool::test
