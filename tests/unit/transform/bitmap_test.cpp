#include "transform/bitmap.h"

#include "tests/unit/transform/bmp_file.h"
#include "tests/unit/transform/gallery.h"

#include <limits>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

// Red, green / blue, white.
const std::string kTopRow("\x00\x00\xFF\x00\xFF\x00\x00\x00", 8);
const std::string kBottomRow("\xFF\x00\x00\xFF\xFF\xFF\x00\x00", 8);

void check_four_pixels(const std::string& source) {
    const Made made = make_or_fail(source, recipe(Format::png));
    const Seen seen(made.bytes.view());
    REQUIRE(seen.width() == 2);
    REQUIRE(seen.height() == 2);
    check_colour(seen, 0, 0, kRed, 0);
    check_colour(seen, 1, 0, kGreen, 0);
    check_colour(seen, 0, 1, kBlue, 0);
    check_colour(seen, 1, 1, kWhite, 0);
}

}  // namespace

TEST_CASE("bitmap: all plain forms are decoded", "[bitmap]") {
    check_four_pixels(bmp({2, 2}, kBottomRow + kTopRow));
    check_four_pixels(bmp({2, -2}, kTopRow + kBottomRow));
    // The fourth byte is nothing.
    check_four_pixels(
        bmp({2, -2, 32}, std::string("\0\0\xFF\0\0\xFF\0\0\xFF\0\0\0\xFF\xFF\xFF\0", 16)));
    check_four_pixels(bmp(
        {2, -2, 16}, little(0x7C00, 2) + little(0x3E0, 2) + little(0x1F, 2) + little(0x7FFF, 2)));
    const std::string masks_565 = little(0xF800, 4) + little(0x7E0, 4) + little(0x1F, 4);
    check_four_pixels(bmp({2, -2, 16, 3, masks_565}, little(0xF800, 2) + little(0x7E0, 2) +
                                                         little(0x1F, 2) + little(0xFFFF, 2)));
    const std::string palette("\0\0\xFF\0\0\xFF\0\0\xFF\0\0\0\xFF\xFF\xFF\0", 16);
    const auto palette_of = [&palette](std::size_t entries) {
        return palette + std::string(4 * (entries - 4), '\0');
    };
    check_four_pixels(bmp({2, -2, 8, 0, palette_of(256)}, std::string("\0\1\0\0\2\3\0\0", 8)));
    check_four_pixels(bmp({2, -2, 4, 0, palette_of(16)}, std::string("\x01\0\0\0\x23\0\0\0", 8)));
    const std::string two = palette.substr(0, 4) + palette.substr(12, 4);
    const Made made =
        make_or_fail(bmp({2, -1, 1, 0, two}, std::string("\x40\0\0\0", 4)), recipe(Format::png));
    check_colour(Seen(made.bytes.view()), 0, 0, kRed, 0);
    check_colour(Seen(made.bytes.view()), 1, 0, kWhite, 0);
    // The first header of all, with 16 bits for a side and a row of three bytes.
    const std::string core = "BM" + little(26 + 16, 4) + little(0, 4) + little(26, 4) +
                             little(12, 4) + little(2, 2) + little(2, 2) + little(1, 2) +
                             little(24, 2);
    check_four_pixels(core + kBottomRow + kTopRow);
}

TEST_CASE("bitmap: alpha counts where it says where that is", "[bitmap]") {
    BmpForm form{2, -1, 32, 3};
    form.header_bytes = 56;
    form.behind_header =
        little(0xFF0000, 4) + little(0xFF00, 4) + little(0xFF, 4) + little(0xFF000000, 4);
    const std::string source = bmp(form, std::string("\0\0\xFF\0\0\xFF\0\xFF", 8));
    REQUIRE(Bitmap::open(source));
    CHECK(Bitmap::open(source)->bands() == 4);
    const Made made = make_or_fail(source, recipe(Format::png));
    check_colour(Seen(made.bytes.view()), 0, 0, {255, 0, 0, 0}, 0);
    check_colour(Seen(made.bytes.view()), 1, 0, {0, 255, 0, 255}, 0);
}

TEST_CASE("bitmap: what lies is corrupt", "[bitmap]") {
    const std::string pixels = kBottomRow + kTopRow;
    for (const std::string& source :
         {bmp({0, 2}, pixels), bmp({2, 0}, pixels), bmp({-2, 2}, pixels),
          bmp({2, std::numeric_limits<int>::min()}, pixels), bmp({2, 2, 23}, pixels),
          bmp({2, 2, 0}, pixels), bmp({2, 2, 8, 1}, pixels), bmp({2, 2, 24, 3}, pixels),
          bmp({2, 2, 24, 0xFFFFFFFF}, pixels), bmp({20'000'000, 2}, pixels),
          bmp({2, 2, 32, 3, little(0xF0F, 4) + little(0xF0, 4) + little(0, 4)}, pixels),
          bmp({2, 2}, "").substr(0, 53), std::string("BM"), std::string()}) {
        const auto bitmap = Bitmap::open(source);
        REQUIRE_FALSE(bitmap);
        CHECK(bitmap.error().kind == ErrorKind::corrupt);
    }
    // Rows that are not there, by a byte or for the most part or at all.
    const std::string cut = pixels.substr(0, pixels.size() - 1);
    std::string behind = bmp({2, 2}, pixels);
    behind.replace(10, 4, little(0xFFFFFFFF, 4));
    for (const std::string& source :
         {bmp({2, 2}, cut), bmp({9000, 9000}, pixels), bmp({2, 2}, ""), behind}) {
        const auto bitmap = Bitmap::open(source);
        REQUIRE(bitmap);
        CHECK_FALSE(bitmap->is_complete());
        CHECK(make(source, recipe(Format::webp)).error().kind == ErrorKind::corrupt);
    }
    // A palette that is cut: what is missing is black, or whatever is there instead.
    CHECK(make(bmp({2, 2, 8}, pixels), recipe(Format::webp)));
}
