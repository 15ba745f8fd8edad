// Looking at originals of all kinds: good, odd, broken and hostile.
#include "transform/worker/inspect.h"

#include "tests/unit/transform/bmp_file.h"
#include "tests/unit/transform/exif_file.h"
#include "tests/unit/transform/gallery.h"
#include "transform/blur_hash.h"
#include "transform/dear.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

constexpr InspectDepth kDepths[] = {InspectDepth::structure, InspectDepth::pixels};

Limits usual() {
    return limits_of(conf::VariantSettings{});
}

Inspection seen_of(std::string_view source, InspectDepth depth = InspectDepth::pixels) {
    const auto seen = inspect(source, usual(), depth);
    INFO((seen ? std::string() : seen.error().text));
    REQUIRE(seen);
    // As the server would take it from a worker.
    const auto taken = believed(*seen, depth, usual());
    REQUIRE(taken);
    return *taken;
}

Error error_of(std::string_view source, InspectDepth depth, const Limits& limits = usual()) {
    const auto seen = inspect(source, limits, depth);
    REQUIRE_FALSE(seen);
    CHECK_FALSE(seen.error().text.empty());
    return seen.error();
}

Picture column_of(int frames) {
    Picture column(60, 40 * frames, kGrey);
    for (int i = 0; i < frames; ++i)
        column.fill(0, 40 * i, 60, 40, {40 * i, 255 - 40 * i, 99});
    column.set("page-height", 40);
    return column;
}

void put_big_u32(std::string& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i)
        bytes[at + i] = static_cast<char>(value >> (24 - 8 * i) & 0xFF);
}

// The head of a PNG of this size (PNG, 11.2.1), with what follows of a small one.
std::string png_of_size(std::uint32_t width, std::uint32_t height) {
    std::string png = with_corners(40, 40).saved(".png");
    put_big_u32(png, 16, width);
    put_big_u32(png, 20, height);
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char c : std::string_view(png).substr(12, 17)) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    put_big_u32(png, 29, ~crc);
    return png;
}

ExifFile holiday() {
    ExifFile file;
    file.first = {ExifFile::ascii(0x010F, "Canon"),
                  ExifFile::ascii(0x0110, "EOS R5"),
                  {0x0112, 3, 1, std::string("\0\6", 2)}};
    file.details = {ExifFile::ascii(0x9003, "2026:02:25 13:14:15"),
                    ExifFile::ascii(0xA434, "RF24-105mm F4 L IS USM")};
    file.gps = {ExifFile::ascii(1, "N"), file.rationals(2, {48, 1, 8, 1, 0, 1}),
                ExifFile::ascii(3, "W"), file.rationals(4, {11, 1, 34, 1, 30, 1})};
    return file;
}

}  // namespace

TEST_CASE("inspect: what every format says of itself", "[inspect]") {
    Picture with_alpha = Picture(90, 60, {9, 99, 199, 99}, 4);
    struct Case {
        std::string source;
        const char* type;
        bool has_alpha;
    };
    const Case cases[] = {
        {with_corners(90, 60).saved(".jpg"), "image/jpeg", false},
        {with_corners(90, 60).saved(".jpg[interlace]"), "image/jpeg", false},
        {with_corners(90, 60).in_profile("cmyk").saved(".jpg"), "image/jpeg", false},
        {Picture(90, 60, kGrey, 1).saved(".jpg"), "image/jpeg", false},
        {with_corners(90, 60).saved(".png"), "image/png", false},
        {with_alpha.saved(".png"), "image/png", true},
        {with_corners(90, 60).saved(".png[palette]"), "image/png", false},
        {with_alpha.saved(".png[palette]"), "image/png", true},
        {with_corners(90, 60).in_space(VIPS_INTERPRETATION_RGB16).saved(".png"), "image/png",
         false},
        {with_corners(90, 60).in_space(VIPS_INTERPRETATION_GREY16).saved(".png[interlace]"),
         "image/png", false},
        {with_corners(90, 60).saved(".gif"), "image/gif", true},  // libvips writes it always
        {with_corners(90, 60).saved(".webp"), "image/webp", false},
        {with_alpha.saved(".webp[lossless]"), "image/webp", true},
        {with_corners(90, 60).saved(".avif[effort=0]"), "image/avif", false},
        {with_alpha.saved(".avif[effort=0]"), "image/avif", true},
        {with_corners(90, 60).saved(".heic"), "image/heic", false},
        {bmp({90, 60}, std::string(std::size_t{272} * 60, '\x55')), "image/bmp", false},
        {bmp({90, -60, 32}, std::string(std::size_t{360} * 60, '\x55')), "image/bmp", false},
    };
    for (const Case& each : cases) {
        for (const InspectDepth depth : kDepths) {
            CAPTURE(each.type, each.source.size(), int(depth));
            const Inspection seen = seen_of(each.source, depth);
            CHECK(seen.type.view() == each.type);
            CHECK(seen.width == 90);
            CHECK(seen.height == 60);
            CHECK(seen.frames == 1);
            CHECK_FALSE(seen.is_animated());
            CHECK(seen.orientation == 1);
            CHECK((seen.has_alpha != 0) == each.has_alpha);
            CHECK(seen.make.view().empty());
            CHECK(seen.taken.view().empty());
            CHECK(seen.has_position == 0);
            CHECK(is_blur_hash(seen.blur_hash.view()) == (depth == InspectDepth::pixels));
        }
    }
}

TEST_CASE("inspect: animations have frames, and the size of one", "[inspect]") {
    for (const char* const suffix : {".gif", ".webp"}) {
        const std::string source = column_of(5).saved(suffix);
        for (const InspectDepth depth : kDepths) {
            CAPTURE(suffix, int(depth));
            const Inspection seen = seen_of(source, depth);
            CHECK(seen.frames == 5);
            CHECK(seen.is_animated());
            CHECK(seen.width == 60);
            CHECK(seen.height == 40);
        }
        Limits limits = usual();
        limits.frames = 4;
        CHECK(error_of(source, InspectDepth::structure, limits).kind == ErrorKind::too_large);
        CHECK_THAT(error_of(source, InspectDepth::structure, limits).text,
                   Catch::Contains("5 frames") && Catch::Contains("at most 4"));
        limits = usual();
        limits.animation_pixels = 60 * 40 * 5 - 1;
        CHECK(error_of(source, InspectDepth::structure, limits).kind == ErrorKind::too_large);
        CHECK_THAT(error_of(source, InspectDepth::structure, limits).text,
                   Catch::Contains("5 frames of 60 x 40") && Catch::Contains("11999"));
    }
}

TEST_CASE("inspect: the size is that of the image as it is to be seen", "[inspect]") {
    for (int orientation = 1; orientation <= 8; ++orientation) {
        Picture stored = with_corners(120, 80);
        stored.set("orientation", orientation);
        for (const char* const suffix : {".jpg", ".webp"}) {
            CAPTURE(orientation, suffix);
            const Inspection seen = seen_of(stored.saved(suffix));
            CHECK(seen.orientation == orientation);
            CHECK(seen.width == (orientation >= 5 ? 80 : 120));
            CHECK(seen.height == (orientation >= 5 ? 120 : 80));
            // Waves follow the longer side.
            CHECK(seen.blur_hash.view()[0] == (orientation >= 5 ? 'T' : 'L'));
        }
    }
}

TEST_CASE("inspect: an upside-down photograph has the blur hash of the upright one", "[inspect]") {
    Picture upright(64, 32, kWhite);
    upright.fill(0, 0, 64, 16, kBlue);
    Picture turned(64, 32, kWhite);
    turned.fill(0, 16, 64, 16, kBlue);
    turned.set("orientation", 3);
    const Inspection seen = seen_of(turned.saved(".jpg[Q=100]"));
    CHECK(seen.blur_hash.view() == seen_of(upright.saved(".jpg[Q=100]")).blur_hash.view());
}

TEST_CASE("inspect: the blur hash is that of the image on white", "[inspect]") {
    // As of blur_hash_test.cpp: 32 x 24 pixels are not resized.
    Picture slope(32, 24, kGrey);
    for (int y = 0; y < 24; ++y) {
        for (int x = 0; x < 32; ++x)
            slope.fill(x, y, 1, 1, {8 * x, 10 * y, 255 - 8 * x});
    }
    constexpr std::string_view kSlope = "L.H27=77w%XAmHWYjuf8gJfjfQfj";
    CHECK(seen_of(slope.saved(".png")).blur_hash.view() == kSlope);
    CHECK(seen_of(slope.saved(".webp[lossless]")).blur_hash.view() == kSlope);
    CHECK(seen_of(Picture(32, 24, {1, 2, 3, 0}, 4).saved(".png")).blur_hash.view() ==
          seen_of(Picture(32, 24, kWhite).saved(".png")).blur_hash.view());
    CHECK(seen_of(Picture(2, 2, kRed).saved(".png")).blur_hash.view().size() == 28);
    CHECK(seen_of(Picture(1, 1, kRed).saved(".png")).blur_hash.view().size() == 28);
    CHECK(seen_of(Picture(3000, 1, kRed).saved(".png")).blur_hash.view().size() == 28);
    CHECK(seen_of(Picture(1, 3000, kRed).saved(".png")).blur_hash.view().size() == 28);
}

TEST_CASE("inspect: camera, time and place of a photograph", "[inspect]") {
    const std::string photograph = with_exif(with_corners(90, 60).saved(".jpg"), holiday().tiff());
    for (const InspectDepth depth : kDepths) {
        const Inspection seen = seen_of(photograph, depth);
        CHECK(seen.make.view() == "Canon");
        CHECK(seen.model.view() == "EOS R5");
        CHECK(seen.lens.view() == "RF24-105mm F4 L IS USM");
        CHECK(seen.taken.view() == "2026-02-25T13:14:15");
        CHECK(seen.has_position == 1);
        CHECK(seen.latitude == Approx(48.0 + 8 / 60.0));
        CHECK(seen.longitude == Approx(-11.575));
        CHECK(seen.orientation == 6);
        CHECK(seen.width == 60);
    }
    Picture picture = with_corners(90, 60);
    picture.set("exif-ifd0-Make", "Leica");
    picture.set("exif-ifd2-DateTimeOriginal", "2026:02:25 13:14:15");
    for (const char* const suffix : {".jpg", ".webp", ".avif[effort=0]"}) {
        CAPTURE(suffix);
        const Inspection seen = seen_of(picture.saved(suffix));
        CHECK(seen.make.view() == "Leica");
        CHECK(seen.taken.view() == "2026-02-25T13:14:15");
    }
}

TEST_CASE("inspect: hostile EXIF is cut and cleaned, or left out", "[inspect]") {
    const std::string jpeg = with_corners(90, 60).saved(".jpg");
    ExifFile file;
    file.first = {ExifFile::ascii(0x010F, std::string(5000, 'A')),
                  ExifFile::ascii(0x0110, "a\r\nSet-Cookie: x\x1b[2J\xFF\u202E (a, ASCII, 1)")};
    file.details = {ExifFile::ascii(0x9003, "9999:99:99 99:99:99")};
    const Inspection seen = seen_of(with_exif(jpeg, file.tiff()));
    CHECK(seen.make.view() == std::string(64, 'A'));
    CHECK(seen.model.view() == "a??Set-Cookie: x?[2J?? (a, ASCII, 1)");
    CHECK(seen.taken.view().empty());

    const std::string whole = holiday().tiff();
    for (std::size_t length = 0; length < whole.size(); length += 7) {
        CAPTURE(length);
        CHECK(seen_of(with_exif(jpeg, whole.substr(0, length)), InspectDepth::structure).width > 0);
    }
    // Directories that lead to themselves.
    ExifFile loop = holiday();
    loop.first.push_back({0x8769, 4, 1, loop.number(8, 4)});
    loop.first.push_back({0x8825, 4, 1, loop.number(8, 4)});
    const Inspection looped = seen_of(with_exif(jpeg, loop.tiff()), InspectDepth::structure);
    CHECK(looped.make.view() == "Canon");
    CHECK(looped.taken.view().empty());
    CHECK(looped.has_position == 0);
}

TEST_CASE("inspect: what is no image is told by the head", "[inspect]") {
    const std::string sources[] = {"",
                                   "x",
                                   std::string(5000, '\0'),
                                   "<svg xmlns='http://x'/>",
                                   "<html><script>alert(1)</script>",
                                   "%PDF-1.7 and more",
                                   "P6 1 1 255\nabc",
                                   std::string("II*\0\x08\0\0\0", 8),
                                   std::string("\xFF\xD8\xFF\xE0", 4),
                                   std::string("\x89PNG\r\n\x1A\n", 8),
                                   "GIF89a",
                                   std::string("RIFF\x24\0\0\0WEBPVP8 ", 16),
                                   std::string("BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0", 18)};
    for (const std::string& source : sources) {
        for (const InspectDepth depth : kDepths) {
            CAPTURE(source, int(depth));
            CHECK(error_of(source, depth).kind == ErrorKind::corrupt);
        }
    }
}

TEST_CASE("inspect: half a file and garbage inside are told", "[inspect]") {
    Picture busy(200, 200, kGrey);
    for (int i = 0; i < 3000; ++i) {
        const int at = i * 7919;
        busy.fill(at % 190, at / 190 % 190, 9, 7, {at % 256, at / 3 % 256, at / 7 % 256});
    }
    for (const char* const suffix : {".jpg", ".png", ".webp", ".gif", ".avif[effort=0]"}) {
        CAPTURE(suffix);
        const std::string whole = busy.saved(suffix);
        for (const InspectDepth depth : kDepths)
            CHECK(error_of(whole.substr(0, whole.size() / 2), depth).kind == ErrorKind::corrupt);
        CHECK(error_of(whole.substr(0, 20), InspectDepth::structure).kind == ErrorKind::corrupt);
        CHECK(seen_of(whole, InspectDepth::structure).width == 200);
    }
    std::string png = busy.saved(".png");
    for (std::size_t at = png.size() / 3; at < png.size(); at += 7)
        png[at] = static_cast<char>(png[at] ^ 0x55);
    for (const InspectDepth depth : kDepths)
        CHECK(error_of(png, depth).kind == ErrorKind::corrupt);
    const std::string bitmap = bmp({90, 60}, std::string(std::size_t{272} * 60 - 1, 'x'));
    for (const InspectDepth depth : kDepths)
        CHECK(error_of(bitmap, depth).kind == ErrorKind::corrupt);
}

TEST_CASE("inspect: too large an image is told by the head alone", "[inspect]") {
    for (const auto& [width, height] :
         {std::pair{100'001U, 1000U}, std::pair{100'001U, 100'001U}, std::pair{1000U, 100'001U}}) {
        for (const InspectDepth depth : kDepths) {
            const Error error = error_of(png_of_size(width, height), depth);
            CHECK(error.kind == ErrorKind::too_large);
            CHECK_THAT(error.text,
                       Catch::Contains(std::to_string(width)) && Catch::Contains("100000000"));
        }
    }
    CHECK(error_of(png_of_size(0x7FFFFFFF, 0x7FFFFFFF), InspectDepth::structure).kind ==
          ErrorKind::corrupt);
    CHECK(error_of(bmp({100'001, 100'001}, ""), InspectDepth::structure).kind ==
          ErrorKind::too_large);

    const std::string source = with_corners(40, 40).saved(".png");
    Limits tight = usual();
    tight.pixels = 1600;
    tight.source_bytes = source.size();
    CHECK(inspect(source, tight, InspectDepth::structure));
    tight.pixels = 1599;
    CHECK(error_of(source, InspectDepth::structure, tight).kind == ErrorKind::too_large);
    tight.pixels = 1600;
    tight.source_bytes = source.size() - 1;
    CHECK(error_of(source, InspectDepth::structure, tight).kind == ErrorKind::too_large);
}

TEST_CASE("inspect: only what a worker can say is believed", "[inspect]") {
    const Inspection good = seen_of(with_corners(90, 60).saved(".png"));
    const auto is_believed = [&good](auto change) {
        Inspection told = good;
        change(told);
        return believed(told, InspectDepth::pixels, usual()).has_value();
    };
    CHECK(is_believed([](Inspection&) {}));
    CHECK_FALSE(is_believed([](Inspection& told) { told.type.set("text/html"); }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.type.set(""); }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.width = 0; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.height = -1; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.width = 2'000'000'000; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.frames = 0; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.frames = 1001; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.orientation = 0; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.orientation = 9; }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.taken.set("yesterday"); }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.blur_hash.set(""); }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.blur_hash.set("<script>"); }));
    CHECK_FALSE(is_believed([](Inspection& told) { told.depth = InspectDepth::structure; }));
    CHECK_FALSE(believed(good, InspectDepth::structure, usual()));

    // Memory of a worker that was taken over: every byte may be anything.
    Inspection wild = good;
    const auto fill = [](auto& field, unsigned char byte) {
        std::memset(static_cast<void*>(&field), byte, sizeof field);
    };
    fill(wild.make, '\n');
    fill(wild.model, 0xFF);
    fill(wild.has_alpha, 0xFF);
    fill(wild.has_position, 0xFF);
    fill(wild.latitude, 0xFF);
    const auto tamed = believed(wild, InspectDepth::pixels, usual());
    REQUIRE(tamed);
    CHECK(tamed->make.view() == std::string(64, '?'));
    CHECK(tamed->model.view() == std::string(64, '?'));
    CHECK(tamed->has_alpha == 1);
    CHECK(tamed->has_position == 0);
    CHECK(tamed->latitude == 0);
}

TEST_CASE("inspect: which are dear is told by the beginning", "[inspect]") {
    const std::string still = with_corners(60, 40).saved(".webp");
    const std::string avif = with_corners(60, 40).saved(".avif[effort=0]");
    for (const std::string& source :
         {column_of(2).saved(".webp"), column_of(2).saved(".gif"), avif}) {
        CHECK(is_dear(SourceHead{source, 100, 1}, InspectDepth::pixels));
        CHECK_FALSE(is_dear(SourceHead{source, 100, 1}, InspectDepth::structure));
    }
    CHECK_FALSE(is_dear(SourceHead{still, 100, 1}, InspectDepth::pixels));
    const std::string jpeg = with_corners(60, 40).saved(".jpg");
    CHECK_FALSE(is_dear(SourceHead{jpeg, 100, 1}, InspectDepth::pixels));
    CHECK_FALSE(is_dear(SourceHead{}, InspectDepth::pixels));
}
