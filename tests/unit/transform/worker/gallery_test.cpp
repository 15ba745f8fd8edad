// Variants of all kinds of originals: what they show, pixel by pixel.
#include "tests/unit/transform/gallery.h"

#include "transform/worker/vips/image.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

constexpr Format kAll[] = {Format::webp, Format::avif, Format::jpeg,
                           Format::png,  Format::gif,  Format::jxl};

// Lossy formats, and the 256 colours of a GIF.
constexpr int kTolerance = 14;

// A colour of each corner, clockwise from the top left.
using Corners = std::array<Colour, 4>;
constexpr Corners kUpright{kRed, kGreen, kYellow, kBlue};

void check_corners(const Seen& seen, const Corners& corners, int tolerance = kTolerance) {
    const int right = seen.width() - 1;
    const int bottom = seen.height() - 1;
    const int in = std::min(right, bottom) / 8;
    check_colour(seen, in, in, corners[0], tolerance);
    check_colour(seen, right - in, in, corners[1], tolerance);
    check_colour(seen, right - in, bottom - in, corners[2], tolerance);
    check_colour(seen, in, bottom - in, corners[3], tolerance);
}

bool holds(std::string_view bytes, std::string_view part) {
    return bytes.find(part) != bytes.npos;
}

// with_corners(48, 48) as a JPEG with arithmetic coding, which libvips does not write.
constexpr std::string_view kArithmeticJpeg =
    "ffd8ffdb0043000302020302020303030304030304050805050404050a070706080c0a0c0c0b0a0b"
    "0b0d0e12100d0e110e0b0b1016101113141515150c0f171816141812141514ffdb00430103040405"
    "040509050509140d0b0d141414141414141414141414141414141414141414141414141414141414"
    "1414141414141414141414141414141414141414ffc90011080030003003012200021101031101ff"
    "cc000a0010100501101105ffda000c03010002110311003f00ff00d94b0c5b809514185b33e409a8"
    "f34c8c6f699c8bd0214975708f75001290e02dc81aaaceb6142b06ffd9";

std::string from_hex(std::string_view digits) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        bytes.push_back(
            static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
    return bytes;
}

// The loader of JPEG XL is blocked in this process, so of these only the head is looked at.
bool can_look_at(Format format) {
    return format != Format::jxl;
}

}  // namespace

TEST_CASE("gallery: every orientation is baked into every format", "[transform][gallery]") {
    // What a tag says of the stored rows and columns (EXIF 2.32, 4.6.4, Orientation).
    const Corners upright[] = {
        {kRed, kGreen, kYellow, kBlue}, {kGreen, kRed, kBlue, kYellow},
        {kYellow, kBlue, kRed, kGreen}, {kBlue, kYellow, kGreen, kRed},
        {kRed, kBlue, kYellow, kGreen}, {kBlue, kRed, kGreen, kYellow},
        {kYellow, kGreen, kRed, kBlue}, {kGreen, kYellow, kBlue, kRed},
    };
    for (int orientation = 1; orientation <= 8; ++orientation) {
        Picture stored = with_corners(120, 80);
        stored.set("orientation", orientation);
        const std::string sources[] = {stored.saved(".jpg[Q=95]"), stored.saved(".webp[lossless]")};
        for (const std::string& source : sources) {
            for (const Format format : kAll) {
                CAPTURE(orientation, name_of(format), source.size());
                const Made made = make_or_fail(source, recipe(format, 60, 60));
                CHECK(made.width == (orientation >= 5 ? 40 : 60));
                CHECK(made.height == (orientation >= 5 ? 60 : 40));
                if (!can_look_at(format)) continue;
                const Seen seen(made.bytes.view());
                CHECK(seen.width() == made.width);
                CHECK(seen.height() == made.height);
                CHECK(seen.number("orientation") <= 1);
                CHECK_FALSE(seen.has("exif-ifd0-Orientation"));
                check_corners(seen, upright[orientation - 1]);
            }
        }
    }
}

TEST_CASE("gallery: nothing of a photograph's metadata is in any format", "[transform][gallery]") {
    Picture picture = with_corners(90, 60);
    picture.set("exif-ifd0-Make", "SECRET (SECRET, ASCII, 7 components, 7 bytes)");
    picture.set("exif-ifd3-GPSLatitude",
                "48/1 8/1 0/1 (48, 8, 0, Rational, 3 components, 24 bytes)");
    picture.set_blob("xmp-data", "<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET</x:xmpmeta>");
    picture.set_blob("iptc-data", "SECRET IPTC");
    picture.set("png-comment-0-Author", "SECRET");
    picture.set("orientation", 1);
    for (const char* const suffix : {".jpg", ".webp", ".png"}) {
        const std::string source = picture.saved(suffix);
        REQUIRE((holds(source, "SECRET") || Seen(source).has("xmp-data")));  // PNG packs it
        for (const Format format : kAll) {
            CAPTURE(suffix, name_of(format));
            const Made made = make_or_fail(source, recipe(format, 45));
            const std::string bytes = made_text(made);
            for (const char* const part :
                 {"SECRET", "Exif", "EXIF", "eXIf", "xmp", "XMP ", "GPS"}) {
                CAPTURE(part);
                CHECK_FALSE(holds(bytes, part));
            }
            if (!can_look_at(format)) continue;
            const Seen seen(made.bytes.view());
            for (const char* const field : {"exif-data", "xmp-data", "iptc-data",
                                            "icc-profile-data", "jpeg-thumbnail-data"}) {
                CAPTURE(field);
                CHECK_FALSE(seen.has(field));
            }
        }
    }
}

TEST_CASE("gallery: colours go to sRGB through the embedded profile", "[transform][gallery]") {
    SECTION("display P3, by figures of others") {
        // CSS Color 4: sRGB red is color(display-p3 0.9175 0.2003 0.1386), and so on.
        const std::pair<Colour, Colour> cases[] = {
            {{234, 51, 35}, kRed}, {{117, 251, 76}, kGreen}, {{0, 0, 245}, kBlue}, {kGrey, kGrey}};
        const Picture any = Picture(8, 8, kGrey).in_profile("p3");
        const void* profile = nullptr;
        std::size_t size = 0;
        REQUIRE(vips_image_get_blob(any.get(), "icc-profile-data", &profile, &size) == 0);
        for (const auto& [stored, wanted] : cases) {
            Picture picture(64, 64, stored);
            picture.set_blob("icc-profile-data", {static_cast<const char*>(profile), size});
            const std::string source = picture.saved(".png");
            const Made made = make_or_fail(source, recipe(Format::png, 32));
            check_colour(Seen(made.bytes.view()), 16, 16, wanted, 4);
        }
    }
    SECTION("Adobe RGB, by figures of others, in every format") {
        const std::pair<Colour, Colour> cases[] = {
            {{219, 0, 0}, kRed}, {{144, 255, 60}, kGreen}, {{127, 127, 127}, kGrey}};
        for (const auto& [stored, wanted] : cases) {
            Picture picture(64, 64, stored);
            picture.set_blob("icc-profile-data", icc_profile(kAdobeRgb));
            for (const char* const suffix : {".png", ".jpg[Q=98]", ".webp[lossless]"}) {
                const std::string source = picture.saved(suffix);
                for (const Format format :
                     {Format::webp, Format::avif, Format::jpeg, Format::png}) {
                    CAPTURE(suffix, name_of(format));
                    const Made made = make_or_fail(source, recipe(format, 32));
                    check_colour(Seen(made.bytes.view()), 16, 16, wanted, 8);
                }
            }
        }
    }
    SECTION("16 bits with a profile") {
        Picture picture = Picture(64, 64, {144, 255, 60}).in_space(VIPS_INTERPRETATION_RGB16);
        picture.set_blob("icc-profile-data", icc_profile(kAdobeRgb));
        const Made made = make_or_fail(picture.saved(".png"), recipe(Format::png, 32));
        check_colour(Seen(made.bytes.view()), 16, 16, kGreen, 10);
    }
    SECTION("16 bits with a profile and alpha") {
        Picture colour = Picture(64, 64, {144, 255, 60, 32}, 4).in_space(VIPS_INTERPRETATION_RGB16);
        colour.set_blob("icc-profile-data", icc_profile(kAdobeRgb));
        Picture grey = Picture(64, 64, {99, 32, 0}, 2).in_space(VIPS_INTERPRETATION_GREY16);
        grey.set_blob("icc-profile-data", grey_icc_profile(1.0));
        // Of linear light; the sRGB curve has it (IEC 61966-2-1) at 166.
        const std::pair<std::string, Colour> cases[] = {{colour.saved(".png"), {0, 255, 0, 32}},
                                                        {grey.saved(".png"), {166, 166, 166, 32}}};
        for (const auto& [source, wanted] : cases) {
            for (const Format format : {Format::png, Format::webp, Format::avif}) {
                for (const unsigned width : {0U, 32U}) {
                    CAPTURE(name_of(format), width, wanted.red);
                    const Made made = make_or_fail(source, recipe(format, width));
                    const Seen seen(made.bytes.view());
                    CHECK(seen.at(16, 16).alpha >= 31);
                    CHECK(seen.at(16, 16).alpha <= 33);
                    check_colour(seen, 16, 16, wanted, 12);
                }
            }
        }
    }
    SECTION("display P3 by numbers alone") {
        std::string source = Picture(64, 64, {234, 51, 35}).saved(".avif[Q=98,effort=0]");
        const std::size_t numbers = source.find("colrnclx");
        REQUIRE(numbers != source.npos);
        const Made plain = make_or_fail(source, recipe(Format::png));
        check_colour(Seen(plain.bytes.view()), 16, 16, {234, 51, 35}, 6);
        source.replace(numbers + 8, 4, std::string("\0\x0C\0\x0D", 4));
        const Made p3 = make_or_fail(source, recipe(Format::png));
        check_colour(Seen(p3.bytes.view()), 16, 16, kRed, 10);
    }
    SECTION("a profile that is none, or of another kind of image, is left out") {
        for (const std::string& profile : {std::string(300, 'x'), icc_profile(kAdobeRgb)}) {
            Picture picture(64, 64, kGrey, 1);
            picture.set_blob("icc-profile-data", profile);
            const Made made = make_or_fail(picture.saved(".png"), recipe(Format::webp, 32));
            check_colour(Seen(made.bytes.view()), 16, 16, kGrey, 3);
        }
    }
}

TEST_CASE("gallery: CMYK becomes what it was, with and without a profile", "[transform][gallery]") {
    for (const Colour colour : {kWhite, kGrey, Colour{180, 60, 60}, Colour{70, 110, 160}}) {
        Picture picture = Picture(64, 64, colour).in_profile("cmyk");
        const std::string with_profile = picture.saved(".jpg[Q=98]");
        vips_image_remove(picture.get(), "icc-profile-data");
        const std::string without = picture.saved(".jpg[Q=98]");
        REQUIRE(without.size() + 10'000 < with_profile.size());
        for (const std::string& source : {with_profile, without}) {
            for (const Format format : {Format::webp, Format::jpeg, Format::png, Format::avif}) {
                CAPTURE(name_of(format), colour.red, colour.green, colour.blue);
                const Made made = make_or_fail(source, recipe(format, 32));
                const Seen seen(made.bytes.view());
                CHECK(seen.bands() == 3);
                check_colour(seen, 16, 16, colour, 16);
            }
        }
    }
}

TEST_CASE("gallery: grey and 16 bits keep their values", "[transform][gallery]") {
    const Picture grey(64, 64, {90, 90, 90}, 1);
    const Picture colour(64, 64, {200, 100, 50});
    const std::pair<std::string, Colour> cases[] = {
        {grey.saved(".png"), {90, 90, 90}},
        {grey.saved(".jpg[Q=98]"), {90, 90, 90}},
        {grey.in_space(VIPS_INTERPRETATION_GREY16).saved(".png"), {90, 90, 90}},
        {colour.in_space(VIPS_INTERPRETATION_RGB16).saved(".png"), {200, 100, 50}},
    };
    for (const auto& [source, wanted] : cases) {
        for (const Format format :
             {Format::webp, Format::avif, Format::jpeg, Format::png, Format::gif}) {
            CAPTURE(name_of(format), source.size());
            const Made made = make_or_fail(source, recipe(format, 32));
            check_colour(Seen(made.bytes.view()), 16, 16, wanted, 8);
        }
    }
    SECTION("grey stays one channel where the format has it") {
        const Made made = make_or_fail(grey.saved(".png"), recipe(Format::jpeg, 32));
        CHECK(Seen(made.bytes.view()).bands() == 1);
    }
}

TEST_CASE("gallery: transparency is kept, or put on the background", "[transform][gallery]") {
    // What is transparent is red below, which must not shine through.
    Picture picture(80, 80, kBlue, 4);
    picture.fill(0, 0, 40, 80, {255, 0, 0, 0});
    const Picture wide = picture.in_space(VIPS_INTERPRETATION_RGB16);
    for (const std::string& source :
         {picture.saved(".png"), picture.saved(".webp[lossless]"), wide.saved(".png")}) {
        for (const Format format : {Format::webp, Format::avif, Format::png, Format::gif}) {
            CAPTURE(name_of(format), source.size());
            const Made made = make_or_fail(source, recipe(format, 20));
            const Seen seen(made.bytes.view());
            CHECK(seen.bands() == 4);
            CHECK(seen.at(4, 10).alpha < 8);
            check_colour(seen, 15, 10, kBlue, kTolerance);
            CHECK(seen.at(11, 10).red < 30);
        }
        Recipe jpeg = recipe(Format::jpeg, 20);
        jpeg.background = {0, 255, 0};
        const Made made = make_or_fail(source, jpeg);
        const Seen seen(made.bytes.view());
        check_colour(seen, 4, 10, kGreen, kTolerance);
        check_colour(seen, 15, 10, kBlue, kTolerance);
    }
}

TEST_CASE("gallery: animations stay so in WebP, and show their first frame elsewhere",
          "[transform][gallery]") {
    Picture column(60, 120, kRed);
    column.fill(0, 40, 60, 40, kGreen);
    column.fill(0, 80, 60, 40, kBlue);
    column.set("page-height", 40);
    int delays[] = {100, 200, 300};
    vips_image_set_array_int(column.get(), "delay", delays, 3);
    column.set("loop", 4);
    for (const char* const suffix : {".gif", ".webp[lossless]"}) {
        const std::string source = column.saved(suffix);
        CAPTURE(suffix);
        const Made made = make_or_fail(source, recipe(Format::webp, 30));
        CHECK(made.frames == 3);
        CHECK(made.height == 20);
        const Seen seen(made.bytes.view(), "n=-1");
        CHECK(seen.number("n-pages") == 3);
        CHECK(seen.number("page-height") == 20);
        CHECK(seen.numbers("delay") == std::vector<int>{100, 200, 300});
        CHECK(seen.number("loop") == 4);
        // The last and first lines too: no frame has anything of its neighbour.
        const std::pair<int, Colour> lines[] = {{1, kRed},    {18, kRed},  {21, kGreen},
                                                {38, kGreen}, {41, kBlue}, {58, kBlue}};
        for (const auto& [line, colour] : lines)
            check_colour(seen, 15, line, colour, kTolerance);

        for (const Format format : {Format::avif, Format::jpeg, Format::png, Format::gif}) {
            CAPTURE(name_of(format));
            const Made still = make_or_fail(source, recipe(format, 30));
            CHECK(still.frames == 1);
            const Seen first(still.bytes.view());
            CHECK(first.height() == 20);
            check_colour(first, 15, 10, kRed, kTolerance);
        }
    }
}

TEST_CASE("gallery: an animation has limits of its own", "[transform][gallery]") {
    Picture column(20, 60, kRed);
    column.fill(0, 20, 20, 20, kGreen);
    column.fill(0, 40, 20, 20, kBlue);
    column.set("page-height", 20);
    const std::string source = column.saved(".gif");
    Recipe frames = recipe(Format::webp, 10);
    frames.limits.frames = 2;
    Recipe pixels = recipe(Format::webp, 10);
    pixels.limits.animation_pixels = 1199;
    for (Recipe each : {frames, pixels}) {
        const auto made = make(source, each);
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::too_large);
        each.format = Format::png;  // one frame alone is decoded
        CHECK(make(source, each));
    }
    pixels.limits.animation_pixels = 1200;
    CHECK(make(source, pixels));
}

TEST_CASE("gallery: a PNG with a palette stays one", "[transform][gallery]") {
    const Picture picture = with_corners(200, 200);
    const std::string source = picture.saved(".png[palette]");
    const Made made = make_or_fail(source, recipe(Format::png, 100));
    const Seen seen(made.bytes.view());
    CHECK(seen.has("palette-bit-depth"));
    check_corners(seen, kUpright);
    CHECK(made.bytes.view().size() <
          make_or_fail(picture.saved(".png"), recipe(Format::png, 100)).bytes.view().size());
}

TEST_CASE("gallery: nothing is enlarged, whatever the fit", "[transform][gallery]") {
    const std::string source = with_corners(50, 40).saved(".png");
    using Fit = conf::VariantProfile::Fit;
    for (const Fit fit : {Fit::inside, Fit::cover, Fit::exact}) {
        Recipe large = recipe(Format::png, 200, 300);
        large.fit = fit;
        const Made made = make_or_fail(source, large);
        CHECK(made.width == 50);
        CHECK(made.height == 40);
        check_corners(Seen(made.bytes.view()), kUpright, 0);
    }
}

TEST_CASE("gallery: a cover keeps the side that it should", "[transform][gallery]") {
    using Gravity = conf::VariantProfile::Gravity;
    Picture picture(120, 40, kGrey);
    picture.fill(0, 0, 40, 40, kRed);
    picture.fill(80, 0, 40, 40, kBlue);
    const std::pair<Gravity, Colour> cases[] = {
        {Gravity::west, kRed}, {Gravity::centre, kGrey}, {Gravity::east, kBlue}};
    for (const auto& [gravity, colour] : cases) {
        Recipe square = recipe(Format::png, 20, 20);
        square.fit = conf::VariantProfile::Fit::cover;
        square.gravity = gravity;
        const Made made = make_or_fail(picture.saved(".png"), square);
        const Seen seen(made.bytes.view());
        CHECK(seen.width() == 20);
        CHECK(seen.height() == 20);
        check_colour(seen, 10, 10, colour, 2);
        // Lying on its side, the visitor's left is the stored bottom.
        Picture lying = with_corners(40, 120);
        lying.set("orientation", 6);
        square.gravity = Gravity::west;
        const Made upright = make_or_fail(lying.saved(".jpg[Q=95]"), square);
        check_colour(Seen(upright.bytes.view()), 2, 2, kBlue, kTolerance);
    }
}

TEST_CASE("gallery: a cover finds what is interesting", "[transform][gallery]") {
    using Gravity = conf::VariantProfile::Gravity;
    const auto cover = [](const Picture& picture, Gravity gravity) {
        Recipe square = recipe(Format::png, 40, 40);
        square.fit = conf::VariantProfile::Fit::cover;
        square.gravity = gravity;
        return make_or_fail(picture.saved(".png"), square);
    };
    // A colourful field at the left, a fine pattern at the right.
    Picture picture(200, 40, kGrey);
    picture.fill(0, 0, 40, 40, kRed);
    for (int x = 160; x < 200; x += 4)
        picture.fill(x, 0, 2, 40, kWhite);
    const Made fine = cover(picture, Gravity::entropy);
    const Seen pattern(fine.bytes.view());
    int white = 0;
    for (int x = 0; x < pattern.width(); ++x)
        white += is_near(pattern.at(x, 20), kWhite, 2) ? 1 : 0;
    CHECK(white >= 18);
    picture.fill(160, 0, 40, 40, kGrey);
    const Made field = cover(picture, Gravity::attention);
    check_colour(Seen(field.bytes.view()), 20, 20, kRed, 2);
    Picture tall(40, 200, kGrey);
    tall.fill(0, 150, 40, 40, kBlue);
    const Made low = cover(tall, Gravity::attention);
    check_colour(Seen(low.bytes.view()), 20, 20, kBlue, 2);
    // Where nothing is, it is the centre; grey and alpha are understood.
    Picture plain(200, 40, kGrey, 4);
    plain.fill(90, 0, 20, 40, {128, 128, 128, 250});
    const Made flat = cover(plain, Gravity::entropy);
    CHECK(Seen(flat.bytes.view()).at(20, 20).alpha == 250);
    CHECK(cover(Picture(200, 40, kGrey, 1), Gravity::attention).width == 40);
}

TEST_CASE("gallery: shrinking as it is decoded gives the same picture", "[transform][gallery]") {
    Picture picture = with_corners(1601, 1201);
    picture.set("orientation", 6);
    for (const char* const suffix : {".jpg[Q=95]", ".webp[Q=95]"}) {
        const std::string source = picture.saved(suffix);
        for (const unsigned width : {37U, 90U, 200U, 601U}) {
            CAPTURE(suffix, width);
            const Made made = make_or_fail(source, recipe(Format::jpeg, width));
            CHECK(made.width == static_cast<int>(width));
            CHECK(made.height == static_cast<int>(std::lround(width * 1601.0 / 1201.0)));
            const Seen seen(made.bytes.view());
            CHECK(seen.width() == made.width);
            CHECK(seen.height() == made.height);
            check_corners(seen, {kBlue, kRed, kGreen, kYellow});
        }
    }
}

TEST_CASE("gallery: the same input gives the same bytes", "[transform][gallery]") {
    for (const char* const suffix : {".jpg", ".png[palette]", ".gif", ".webp"}) {
        const std::string source = with_corners(150, 100).saved(suffix);
        for (const Format format : kAll) {
            CAPTURE(suffix, name_of(format));
            const Recipe each = recipe(format, 75);
            CHECK(made_text(make_or_fail(source, each)) == made_text(make_or_fail(source, each)));
        }
    }
}

TEST_CASE("gallery: JPEG is progressive or baseline, as set", "[transform][gallery]") {
    const std::string source = with_corners(64, 64).saved(".png");
    Recipe each = recipe(Format::jpeg);
    each.progressive = true;
    CHECK(holds(made_text(make_or_fail(source, each)), "\xFF\xC2"));
    each.progressive = false;
    CHECK(holds(made_text(make_or_fail(source, each)), "\xFF\xC0"));
}

TEST_CASE("gallery: progressive JPEG, HEIC and AVIF are decoded", "[transform][gallery]") {
    const Picture picture = with_corners(128, 128);
    for (const char* const suffix :
         {".jpg[interlace,Q=95]", ".heic[Q=90]", ".avif[Q=90,effort=0]", ".png[interlace]"}) {
        CAPTURE(suffix);
        const std::string source = picture.saved(suffix);
        for (const Format format : {Format::webp, Format::jpeg}) {
            const Made made = make_or_fail(source, recipe(format, 64));
            check_corners(Seen(made.bytes.view()), kUpright, 20);
        }
    }
}

TEST_CASE("gallery: arithmetic JPEG is decoded", "[transform][gallery]") {
    const std::string source = from_hex(kArithmeticJpeg);
    REQUIRE(holds(source, "\xFF\xC9"));
    check_corners(Seen(make_or_fail(source, recipe(Format::webp, 40)).bytes.view()), kUpright, 20);
}

TEST_CASE("gallery: sharpening is done where it is asked for", "[transform][gallery]") {
    const std::string source = with_corners(200, 200).saved(".png");
    Recipe each = recipe(Format::png, 100);
    const std::string plain = made_text(make_or_fail(source, each));
    each.sharpen = 60;
    CHECK(made_text(make_or_fail(source, each)) != plain);
    each.width = 200;  // not made smaller: nothing was softened
    const std::string sharpened = made_text(make_or_fail(source, each));
    each.sharpen = 0;
    CHECK(made_text(make_or_fail(source, each)) == sharpened);
}

TEST_CASE("gallery: one thread makes an AVIF", "[transform][gallery]") {
    const auto used_ns = [](clockid_t clock) {
        timespec used{};
        REQUIRE(clock_gettime(clock, &used) == 0);
        return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
    };
    const std::string source = with_corners(640, 640).saved(".png");
    Recipe each = recipe(Format::avif);
    each.effort = 2;
    const double thread = used_ns(CLOCK_THREAD_CPUTIME_ID);
    const double process = used_ns(CLOCK_PROCESS_CPUTIME_ID);
    const Made made = make_or_fail(source, each);
    CHECK(made.width == 640);
    const double by_this_one = used_ns(CLOCK_THREAD_CPUTIME_ID) - thread;
    CHECK(by_this_one > 0.9 * (used_ns(CLOCK_PROCESS_CPUTIME_ID) - process));
}

TEST_CASE("gallery: memory that libvips does not get is no fault of the source",
          "[transform][gallery]") {
    vips_error("vips_tracked", "out of memory --- size == %dMB", 72);
    CHECK(fail_vips(ErrorKind::corrupt, "decode").error().kind == ErrorKind::too_large);
    vips_error("pngload", "libpng read error");
    CHECK(fail_vips(ErrorKind::corrupt, "decode").error().kind == ErrorKind::corrupt);
}

TEST_CASE("gallery: of an icon no AVIF is made", "[transform][gallery]") {
    Recipe avif = recipe(Format::avif, 200);
    avif.made_above = 64;
    const auto icon = make(with_corners(64, 64).saved(".png"), avif);
    REQUIRE_FALSE(icon);
    CHECK(icon.error().kind == ErrorKind::not_found);
    CHECK(make(with_corners(65, 20).saved(".png"), avif));
}

TEST_CASE("gallery: a JPEG gives the pixels that libvips' own decoder gives",
          "[transform][gallery]") {
    Picture photo = with_corners(601, 403);
    for (int x = 0; x < 601; x += 7)
        photo.fill(x, x % 400, 3, 2, {x % 256, 255 - x % 256, 90});
    const std::string sources[] = {photo.saved(".jpg[Q=90]"),
                                   photo.saved(".jpg[Q=90,interlace]"),
                                   photo.saved(".jpg[Q=95,subsample-mode=off]"),
                                   photo.in_space(VIPS_INTERPRETATION_B_W).saved(".jpg"),
                                   photo.saved(".jpg[restart-interval=3]"),
                                   from_hex(kArithmeticJpeg)};
    for (const std::string& source : sources) {
        const Seen whole(source);
        Recipe same = recipe(Format::png);
        const Made made = make_or_fail(source, same);
        const Seen seen(made.bytes.view());
        REQUIRE(seen.width() == whole.width());
        REQUIRE(seen.height() == whole.height());
        int different = 0;
        for (int y = 0; y < seen.height(); y += 3) {
            for (int x = 0; x < seen.width(); x += 3)
                different += is_near(seen.at(x, y), whole.at(x, y), 0) ? 0 : 1;
        }
        CHECK(different == 0);
    }
}
