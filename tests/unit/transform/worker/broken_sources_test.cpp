// Originals that are broken, lie, or are made to take all memory: each is a clean error.
#include "tests/unit/transform/gallery.h"
#include "transform/dear.h"
#include "transform/worker/inspect.h"
#include "transform/worker/vips/jpeg_source.h"

#include <cstdint>
#include <string>
#include <utility>

#include <catch2/catch.hpp>
using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

ErrorKind kind_of(std::string_view source, const Recipe& recipe) {
    const auto made = make(source, recipe);
    REQUIRE_FALSE(made);
    INFO(made.error().text);
    CHECK_FALSE(made.error().text.empty());
    return made.error().kind;
}

void put_u16(std::string& bytes, std::size_t at, unsigned value) {
    bytes[at] = static_cast<char>(value >> 8);
    bytes[at + 1] = static_cast<char>(value & 0xFF);
}

// Of a PNG chunk (RFC 2083, 15).
std::uint32_t crc_of(std::string_view bytes) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char c : bytes) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    return ~crc;
}

// A photograph-like source, so that half of the file is half of the picture.
Picture noise(int width, int height) {
    REQUIRE(prepare_to_make());
    VipsImage* noise = nullptr;
    REQUIRE(vips_gaussnoise(&noise, width, height, "mean", 128.0, "seed", 7, nullptr) == 0);
    VipsImage* bytes = nullptr;
    REQUIRE(vips_cast_uchar(noise, &bytes, nullptr) == 0);
    g_object_unref(noise);
    VipsImage* colour = nullptr;
    REQUIRE(vips_colourspace(bytes, &colour, VIPS_INTERPRETATION_sRGB, nullptr) == 0);
    g_object_unref(bytes);
    Picture picture(vips_image_copy_memory(colour));
    g_object_unref(colour);
    return picture;
}

}  // namespace

TEST_CASE("broken sources: half a file is not decodable", "[transform][gallery]") {
    const Picture picture = noise(200, 200);
    for (const char* const suffix : {".jpg", ".png", ".webp", ".gif", ".avif[effort=0]"}) {
        const std::string whole = picture.saved(suffix);
        for (const std::size_t length : {std::size_t{20}, whole.size() / 2}) {
            for (const Format format : {Format::webp, Format::jpeg}) {
                CAPTURE(suffix, length, name_of(format));
                CHECK(kind_of(whole.substr(0, length), recipe(format, 50)) == ErrorKind::corrupt);
            }
        }
    }
}

TEST_CASE("broken sources: what is no image is not decodable", "[transform][gallery]") {
    const std::string sources[] = {"",
                                   "x",
                                   std::string(5000, '\0'),
                                   "<svg xmlns='http://x'/>",
                                   "%PDF-1.7 and more",
                                   "BM no bitmap",
                                   "P6 1 1 255\nabc",  // a loader that is not fuzzed
                                   std::string("II*\0\x08\0\0\0", 8)};
    for (const std::string& source : sources)
        CHECK(kind_of(source, recipe(Format::webp, 50)) == ErrorKind::corrupt);
}

TEST_CASE("broken sources: garbage behind a good beginning is not decodable",
          "[transform][gallery]") {
    std::string source = noise(200, 200).saved(".png");
    for (std::size_t at = source.size() / 3; at < source.size(); at += 7)
        source[at] = static_cast<char>(source[at] ^ 0x55);
    CHECK(kind_of(source, recipe(Format::webp, 50)) == ErrorKind::corrupt);
}

TEST_CASE("broken sources: a picture of too many pixels is not decoded", "[transform][gallery]") {
    const Picture picture = with_corners(40, 40);

    std::string png = picture.saved(".png");
    put_u16(png, 18, 60'000);  // IHDR: width and height of 32 bits, from byte 16
    put_u16(png, 22, 60'000);
    const std::uint32_t crc = crc_of(std::string_view(png).substr(12, 17));
    put_u16(png, 29, crc >> 16);
    put_u16(png, 31, crc & 0xFFFF);

    std::string jpeg = picture.saved(".jpg");
    const std::size_t frame = jpeg.find("\xFF\xC0");
    REQUIRE(frame != jpeg.npos);
    put_u16(jpeg, frame + 5, 60'000);
    put_u16(jpeg, frame + 7, 60'000);

    std::string gif = picture.saved(".gif");
    const std::size_t image = gif.find(std::string_view(",\0\0\0\0", 5));
    REQUIRE(image != gif.npos);
    for (const std::size_t at : {std::size_t{6}, std::size_t{8}, image + 5, image + 7})
        put_u16(gif, at, 0xFFFF);  // of the screen, and of its first frame

    for (const std::string& source : {png, jpeg, gif}) {
        for (const Format format : {Format::webp, Format::avif, Format::jpeg}) {
            CAPTURE(name_of(format), source.size());
            CHECK(kind_of(source, recipe(format, 50)) == ErrorKind::too_large);
        }
    }
    Recipe tight = recipe(Format::jpeg, 50);
    tight.limits.pixels = 1600;
    CHECK(make(picture.saved(".png"), tight));
    tight.limits.pixels = 1599;
    CHECK(kind_of(picture.saved(".png"), tight) == ErrorKind::too_large);
}

TEST_CASE("broken sources: bytes have limits on both sides", "[transform][gallery]") {
    const std::string source = noise(100, 100).saved(".png");
    Recipe each = recipe(Format::png);
    each.limits.source_bytes = source.size();
    CHECK(make(source, each));
    each.limits.source_bytes = source.size() - 1;
    CHECK(kind_of(source, each) == ErrorKind::too_large);
    each = recipe(Format::png);
    each.limits.result_bytes = 1000;
    CHECK(kind_of(source, each) == ErrorKind::too_large);
}

TEST_CASE("broken sources: a side that the format cannot have is too large",
          "[transform][gallery]") {
    const std::string source = Picture(17'000, 2, kGrey).saved(".png");
    CHECK(kind_of(source, recipe(Format::webp)) == ErrorKind::too_large);
    CHECK(make(source, recipe(Format::jpeg)));
    CHECK(make(source, recipe(Format::webp, 500)));
    const std::string longer = Picture(65'501, 1, kGrey).saved(".png");
    CHECK(kind_of(longer, recipe(Format::jpeg)) == ErrorKind::too_large);
    CHECK(make(longer, recipe(Format::png)));
}

TEST_CASE("broken sources: which are dear is told by the beginning", "[transform][gallery]") {
    Picture column(20, 40, kRed);
    column.fill(0, 20, 20, 20, kGreen);
    const std::string still = column.saved(".webp");
    column.set("page-height", 20);
    const std::string gif = column.saved(".gif");
    const std::string animated = column.saved(".webp");
    const std::string jpeg = column.saved(".jpg");
    const Recipe webp = recipe(Format::webp);
    CHECK_FALSE(is_dear(SourceHead{jpeg, 100, 1}, webp));
    CHECK_FALSE(is_dear(SourceHead{still, 100, 1}, webp));
    CHECK(is_dear(SourceHead{animated, 100, 1}, webp));
    CHECK(is_dear(SourceHead{gif, 100, 1}, webp));
    CHECK_FALSE(is_dear(SourceHead{gif, 100, 1}, recipe(Format::jpeg)));
    CHECK(is_dear(SourceHead{jpeg, 100, 1}, recipe(Format::avif)));
    CHECK(is_dear(SourceHead{jpeg, 100, 1}, recipe(Format::jxl)));
    CHECK_FALSE(is_dear(SourceHead{"", 100, 1}, webp));
    CHECK_FALSE(is_dear(SourceHead{"RIFF", 100, 1}, webp));
}

TEST_CASE("broken sources: a JPEG of endless scans is given up", "[transform][gallery]") {
    const std::string whole = noise(64, 64).saved(".jpg[interlace]");
    CHECK(make(whole, recipe(Format::webp, 32)));
    // The last scan, again and again: libjpeg would decode every one of them.
    const std::size_t scan = whole.rfind("\xFF\xDA");
    REQUIRE(scan != whole.npos);
    const std::string last = whole.substr(scan, whole.size() - 2 - scan);
    std::string flood = whole.substr(0, whole.size() - 2);
    for (int i = 0; i < 200; ++i)
        flood += last;
    flood += whole.substr(whole.size() - 2);
    CHECK(kind_of(flood, recipe(Format::webp, 32)) == ErrorKind::corrupt);
}

TEST_CASE("broken sources: the larger a JPEG the fewer scans it may have", "[transform]") {
    CHECK(most_jpeg_scans(0) == 100);
    CHECK(most_jpeg_scans(4'000'000) == 100);
    CHECK(most_jpeg_scans(4'040'405) == 98);
    CHECK(most_jpeg_scans(12'000'000) == 33);
    CHECK(most_jpeg_scans(22'000'000) == 18);
    CHECK(most_jpeg_scans(100'000'000) == 18);
    CHECK(most_jpeg_scans(UINT64_MAX) == 18);
}

namespace {

std::string jpeg_segment(char marker, const std::string& content) {
    std::string head{'\xFF', marker, 0, 0};
    put_u16(head, 2, static_cast<unsigned>(content.size() + 2));
    return head + content;
}

// A square, progressive, of one brightness: scans without pixels, which a decoder takes for zeros.
std::string jpeg_of_scans(unsigned side, int scans, int colours) {
    using namespace std::string_literals;
    std::string size(4, '\0');
    put_u16(size, 0, side);
    put_u16(size, 2, side);
    const std::string one_code = "\1"s + std::string(15, '\0');
    const char count = static_cast<char>(colours);
    std::string frame = "\x08" + size + count;
    std::string first(1, count);
    for (char colour = 1; colour <= count; ++colour) {
        frame += colour + "\x11\0"s;
        first += colour + "\0"s;
    }
    std::string file =
        "\xFF\xD8" + jpeg_segment('\xDB', "\0"s + std::string(64, '\1')) +
        jpeg_segment('\xC2', frame) + jpeg_segment('\xC4', "\0"s + one_code + "\0"s) +
        jpeg_segment('\xC4', "\x10"s + one_code + "\xE0") + jpeg_segment('\xDA', first + "\0\0\0"s);
    for (int i = 1; i < scans; ++i)
        file += jpeg_segment('\xDA', "\1\1\0\1\x3F\x10"s);
    return file + "\xFF\xD9";
}

}  // namespace

TEST_CASE("broken sources: a large JPEG of many scans is refused before it is decoded",
          "[transform]") {
    constexpr unsigned kSide = 3464;  // 12 megapixels, which may have 33
    const Recipe webp = recipe(Format::webp, 32);
    CHECK(make(jpeg_of_scans(kSide, 33, 1), webp));
    CHECK(inspect(jpeg_of_scans(kSide, 33, 1), limits_of({}), InspectDepth::pixels));
    for (const int colours : {1, 4}) {
        CAPTURE(colours);
        const std::string bomb = jpeg_of_scans(kSide, 34, colours);
        CHECK(bomb.size() < 1000);
        const auto made = make(bomb, webp);
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::corrupt);
        CHECK_THAT(made.error().text, Catch::Contains("34 scans"));
        CHECK_FALSE(inspect(bomb, limits_of({}), InspectDepth::pixels));
    }
    // One whose structure hides them is given up while it is decoded.
    std::string hidden = jpeg_of_scans(kSide, 34, 1);
    hidden.insert(hidden.find("\xFF\xDA"), std::string("\xFF\xE3\0\0", 4));
    CHECK(kind_of(hidden, webp) == ErrorKind::corrupt);
    // A small one may have many.
    CHECK(make(jpeg_of_scans(800, 90, 1), webp));
}
