#include "transform/pixel_count.h"

#include "tests/unit/transform/bmp_file.h"
#include "tests/unit/transform/gallery.h"
#include "transform/content_type.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using namespace std::string_literals;
using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

struct Counted {
    std::uint64_t pixels = 0;
    unsigned reads = 0;
};

Counted count(std::string_view file) {
    Counted counted;
    const auto read = [&](std::uint64_t offset, std::size_t most) {
        ++counted.reads;
        return std::string(file.substr(std::min<std::uint64_t>(offset, file.size()), most));
    };
    counted.pixels = pixel_count_of(file.substr(0, kSniffBytes), read);
    return counted;
}

std::string segment(std::uint8_t marker, const std::string& content) {
    return "\xFF" + std::string(1, static_cast<char>(marker)) + big(content.size() + 2, 2) +
           content;
}

// What a frame's segment begins with, and as much behind it as there must be.
std::string frame(unsigned width, unsigned height) {
    return segment(0xC2, "\x08" + big(height, 2) + big(width, 2) + "\1\1\x11\0"s);
}

}  // namespace

TEST_CASE("pixel count: of every type that says it", "[transform][pixels]") {
    const Picture picture = with_corners(90, 60);
    const Picture with_alpha(90, 60, {9, 99, 199, 99}, 4);
    for (const std::string& file :
         {picture.saved(".jpg"), picture.saved(".jpg[interlace]"), picture.saved(".png"),
          picture.saved(".gif"), picture.saved(".webp"), picture.saved(".webp[lossless]"),
          with_alpha.saved(".webp"), bmp({90, 60}, ""), bmp({90, -60}, "")}) {
        CAPTURE(content_type_of(file));
        CHECK(count(file).pixels == 90 * 60);
        for (const std::size_t cut : {std::size_t{12}, std::size_t{17}, std::size_t{22}})
            CHECK(count(file.substr(0, cut)).pixels < 100'000);
    }
    CHECK(count(picture.saved(".avif[effort=0]")).pixels == 0);  // which is dear anyhow
    CHECK(count("").pixels == 0);
    CHECK(count("no image").pixels == 0);
    const std::string most = "\x89PNG\r\n\x1A\n"s + big(13) + "IHDR" + big(0xFFFFFFFF) +
                             big(0xFFFFFFFF) + "\x08\x02\0\0\0"s;
    CHECK(count(most).pixels == 0xFFFFFFFFULL * 0xFFFFFFFFULL);
}

TEST_CASE("pixel count: a JPEG's size stands behind its metadata", "[transform][pixels]") {
    std::string file = "\xFF\xD8";
    for (int i = 0; i < 40; ++i)
        file += segment(0xE1, std::string(65'533, 'x'));
    const std::string whole = file + segment(0xDB, std::string(65, '\1')) + frame(12'000, 9'000);
    CHECK(count(whole).pixels == 108'000'000);
    CHECK(count(whole).reads == 42);
    CHECK(count(whole.substr(0, whole.size() - 10)).pixels == 0);  // cut
    CHECK(count(file + segment(0xDA, std::string(8, 'x')) + frame(12'000, 9'000)).pixels == 0);
}

// A decoder passes over what is there, and so may find another size than this would.
TEST_CASE("pixel count: a JPEG that hides its size has an untold number", "[transform][pixels]") {
    const std::string start = "\xFF\xD8\xFF\xE0\0\4xx"s;
    const std::string small = frame(8, 8) + frame(8, 8);
    CHECK(count(start + small).pixels == 64);
    CHECK(count(start + "garbage" + small).pixels == kUntoldPixels);
    CHECK(count(start + "\xFF\1" + small).pixels == kUntoldPixels);
    CHECK(count(start + "\xFF\xD0" + small).pixels == kUntoldPixels);
    CHECK(count(start + "\xFF\xD8" + small).pixels == kUntoldPixels);
    CHECK(count(start + "\xFF" + small).pixels == kUntoldPixels);
    CHECK(count(start + "\xFF\xE1\0\0"s + small).pixels == kUntoldPixels);
    std::string many = start;
    for (int i = 0; i < 600; ++i)
        many += segment(0xFE, "");
    CHECK(count(many + small).pixels == kUntoldPixels);
    CHECK(count(many + small).reads < 600);
}
