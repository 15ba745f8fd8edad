#include "transform/whole_image.h"

#include "tests/unit/transform/file_parts.h"
#include "tests/unit/transform/gallery.h"
#include "transform/content_type.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

// Nothing, or what is wrong.
std::string wrong(std::string_view file, std::string_view type) {
    const auto checked = check_whole(file, type);
    if (checked) return "";
    CHECK(checked.error().kind == ErrorKind::corrupt);
    CHECK_FALSE(checked.error().text.empty());
    return checked.error().text;
}

// From the file's information header on what is usual.
struct Bmp {
    std::uint32_t header_bytes = 40;
    std::int32_t width = 5;
    std::int32_t height = 3;
    std::uint32_t bits = 24;
    std::uint32_t compression = 0;
    std::uint32_t compressed_bytes = 0;
    std::uint32_t offset = 14 + 40;
    std::size_t pixel_bytes = 48;  // rows of 15 bytes take 16
};
std::string bmp(const Bmp& bmp) {
    std::string file = "BM" + little(0) + little(0) + little(bmp.offset);
    std::string header = little(bmp.header_bytes);
    if (bmp.header_bytes == 12) {
        header += little(std::uint64_t(bmp.width), 2) + little(std::uint64_t(bmp.height), 2) +
                  little(1, 2) + little(bmp.bits, 2);
    } else {
        header += little(std::uint64_t(bmp.width)) + little(std::uint64_t(bmp.height)) +
                  little(1, 2) + little(bmp.bits, 2) + little(bmp.compression) +
                  little(bmp.compressed_bytes);
    }
    header.resize(bmp.header_bytes, '\0');
    file += header;
    file.resize(std::max<std::size_t>(file.size(), bmp.offset), '\0');
    return file + std::string(bmp.pixel_bytes, 'p');
}

// A picture whose second half is another frame.
Picture two_frames() {
    Picture picture = with_corners(24, 48);
    picture.set("page-height", 24);
    return picture;
}

struct Sample {
    std::string name;
    std::string type;
    std::string file;
};
const std::vector<Sample>& samples() {
    static const std::vector<Sample> made = [] {
        const Picture picture = with_corners(33, 20);
        Picture tagged = with_corners(33, 20);
        tagged.set("orientation", 6);
        std::vector<Sample> all;
        for (const char* suffix : {".jpg", ".jpg[interlace]", ".jpg[Q=100,no-subsample]"})
            all.push_back({suffix, "image/jpeg", picture.saved(suffix)});
        all.push_back({"tagged .jpg", "image/jpeg", tagged.saved(".jpg[restart-interval=1]")});
        for (const char* suffix : {".png", ".png[interlace]", ".png[palette]"})
            all.push_back({suffix, "image/png", picture.saved(suffix)});
        all.push_back({"tagged .png", "image/png", tagged.saved(".png")});
        all.push_back({".gif", "image/gif", picture.saved(".gif")});
        all.push_back({"moving .gif", "image/gif", two_frames().saved(".gif")});
        for (const char* suffix : {".webp", ".webp[lossless]"})
            all.push_back({suffix, "image/webp", picture.saved(suffix)});
        all.push_back({"tagged .webp", "image/webp", tagged.saved(".webp")});
        all.push_back({"moving .webp", "image/webp", two_frames().saved(".webp")});
        all.push_back({".avif", "image/avif", picture.saved(".avif[effort=0]")});
        all.push_back({".bmp", "image/bmp", bmp({})});
        return all;
    }();
    return made;
}

const std::string& sample(std::string_view name) {
    for (const Sample& each : samples()) {
        if (each.name == name) return each.file;
    }
    FAIL("there is no sample " << name);
    return samples().front().file;
}

// With this text, which is there, replaced.
std::string with(std::string file, std::string_view from, std::string_view to) {
    const std::size_t at = file.find(from);
    REQUIRE(at != file.npos);
    return file.replace(at, from.size(), to);
}

std::string avif() {
    return box("ftyp", "avif\0\0\0\0avifmif1"sv) + box("meta", "m") + box("mdat", "data");
}

std::string zip(std::string_view prefix, std::string_view comment = "") {
    const std::string entry = "PK\x03\x04 local header";
    const std::string directory = "PK\x01\x02 directory";
    return std::string(prefix) + entry + directory + "PK\x05\x06"s + big(0) + little(1, 2) +
           little(1, 2) + little(directory.size()) + little(entry.size()) +
           little(comment.size(), 2) + std::string(comment);
}

}  // namespace

TEST_CASE("whole image: files of libvips are whole", "[transform][whole]") {
    for (const Sample& each : samples()) {
        CAPTURE(each.name);
        CHECK(content_type_of(each.file) == each.type);
        CHECK(wrong(each.file, each.type) == "");
        CHECK_FALSE(other_format_within(each.file));
    }
}

TEST_CASE("whole image: cut anywhere they are not", "[transform][whole]") {
    for (const Sample& each : samples()) {
        CAPTURE(each.name);
        for (std::size_t length = 0; length < each.file.size(); ++length) {
            // In memory of its own, so that a sanitizer sees who reads beyond.
            const std::vector<char> cut(each.file.begin(),
                                        each.file.begin() + static_cast<std::ptrdiff_t>(length));
            const auto checked = check_whole(cut, each.type);
            if (checked || checked.error().kind != ErrorKind::corrupt)
                FAIL_CHECK("cut at " << length << " of " << each.file.size());
        }
        const std::string half = wrong(each.file.substr(0, each.file.size() * 3 / 4), each.type);
        CHECK_THAT(half, Catch::EndsWith(" is cut off"));
    }
}

TEST_CASE("whole image: what is appended does not matter", "[transform][whole]") {
    for (const Sample& each : samples()) {
        for (const std::string& more :
             {std::string("x"), std::string("\0\0\0\0", 4), std::string(1000, '\0'),
              std::string(1000, '\xFF'), "MotionPhoto_Data" + std::string(500, 'x'), each.file}) {
            CAPTURE(each.name, more.substr(0, 20));
            // A box of an AVIF that has no end, or a second image that is cut, is told from others.
            CHECK(wrong(each.file + more, each.type) == "");
        }
    }
}

TEST_CASE("whole image: of another type they have no beginning", "[transform][whole]") {
    for (const Sample& file : samples()) {
        for (const Sample& other : samples()) {
            if (file.type == other.type) continue;
            CAPTURE(file.name, other.type);
            CHECK_THAT(wrong(file.file, other.type), Catch::EndsWith(" has no beginning"));
        }
    }
    for (const char* type : {"", "image/jxl", "image/svg+xml", "text/html", "IMAGE/JPEG"}) {
        const auto checked = check_whole(sample(".jpg"), type);
        REQUIRE_FALSE(checked);
        CHECK(checked.error().kind == ErrorKind::invalid);
    }
}

TEST_CASE("whole image: JPEG segments", "[transform][whole]") {
    const auto wrong_jpeg = [](std::string_view middle) {
        return wrong("\xFF\xD8" + std::string(middle) + "\xFF\xD9", "image/jpeg");
    };
    const std::string frame = "\xFF\xC0\x00\x03x"s;
    const std::string scan = "\xFF\xDA\x00\x03x"s;
    CHECK(wrong_jpeg(frame + scan + "pixels") == "");
    CHECK(wrong_jpeg(frame + scan + "pi\xFF\x00xe\xFF\xD0ls\xFF\xD7"s) == "");
    CHECK(wrong_jpeg("\xFF\xFF\xFF" + frame.substr(1) + "\xFF" + scan + "pixels\xFF\xFF") == "");
    CHECK(wrong_jpeg("\xFF\x01" + frame + scan) == "");
    CHECK(wrong_jpeg("\xFF\xC2\x00\x03x"s + scan + "a" + "\xFF\xC4\x00\x02"s + scan + "b") == "");
    // Bytes between segments, as libjpeg skips them.
    CHECK(wrong_jpeg(frame + "\0\0"s + scan) == "");
    // The end of a thumbnail is within its segment.
    CHECK(wrong_jpeg("\xFF\xE1\x00\x08"
                     "Exif\xFF\xD9"s +
                     frame + scan) == "");
    CHECK(wrong("\xFF\xD8\xFF\xE1\x00\x08"
                "Exif\xFF\xD9"s,
                "image/jpeg") == "the JPEG is cut off");

    CHECK(wrong_jpeg("") == "the JPEG has no picture");
    CHECK(wrong_jpeg(frame) == "the JPEG has no picture");
    CHECK(wrong_jpeg(scan) == "the JPEG has pixels before their size");
    CHECK(wrong_jpeg("\xFF\xC4\x00\x03x"s + scan) == "the JPEG has pixels before their size");
    CHECK(wrong_jpeg(frame + scan + "\xFF\xD8") ==
          "the JPEG begins a second time within the first");
    CHECK(wrong_jpeg("\xFF\xE0\x00\x01"s + frame + scan) ==
          "the JPEG has a segment of an impossible length");
    CHECK(wrong_jpeg("\xFF\xE0\xFF\xFF" + frame + scan) == "the JPEG is cut off");
    CHECK(wrong_jpeg(frame + scan + "\xFF") == "");  // a fill byte before the end
    CHECK(wrong("\xFF\xD8" + frame + scan + "\xFF\xFF\xFF", "image/jpeg") == "the JPEG is cut off");
}

TEST_CASE("whole image: PNG chunks", "[transform][whole]") {
    const std::string& file = sample(".png");
    const auto damaged = [&](std::size_t at) {
        std::string other = file;
        other[at] = static_cast<char>(other[at] ^ 0x01);
        return wrong(other, "image/png");
    };
    CHECK(damaged(18) == "the PNG's header or end is damaged");  // the width
    CHECK(damaged(29) == "the PNG's header or end is damaged");  // its checksum
    CHECK(damaged(file.size() - 1) == "the PNG's header or end is damaged");
    CHECK(damaged(12) == "the PNG's chunks are out of order");  // the header's name
    CHECK(damaged(11) == "the PNG's chunks are out of order");  // its length
    CHECK(damaged(file.size() - 5) != "");                      // the end's name
    CHECK(with(file, "IDAT", "ID\0T"sv).size() == file.size());
    CHECK(wrong(with(file, "IDAT", "ID\0T"sv), "image/png") ==
          "the PNG has bytes where a chunk should begin");
    CHECK(wrong(with(file, "IDAT", "IDAS"), "image/png") == "the PNG has no picture");
    std::string endless = file;
    endless.replace(file.find("IDAT") - 4, 4, "\x7F\xFF\xFF\xFF");
    CHECK(wrong(endless, "image/png") == "the PNG is cut off");
    endless.replace(file.find("IDAT") - 4, 4, "\x80\0\0\0"sv);
    CHECK(wrong(endless, "image/png") == "the PNG has bytes where a chunk should begin");
    // Pixels are not looked at.
    CHECK(damaged(file.find("IDAT") + 10) == "");
    const std::string end = file.substr(file.size() - 12);
    CHECK(wrong(file.substr(0, 33) + end, "image/png") == "the PNG has no picture");
    CHECK(wrong(file.substr(0, 8) + end, "image/png") == "the PNG's chunks are out of order");
    CHECK(wrong(file.substr(0, 33) + file.substr(8), "image/png") ==
          "the PNG's chunks are out of order");
}

TEST_CASE("whole image: GIF blocks", "[transform][whole]") {
    const auto wrong_gif = [](std::string_view blocks, std::string_view table = "", int flags = 0) {
        return wrong("GIF89a" + std::string(4, '\1') + static_cast<char>(flags) + "\0\0"s +
                         std::string(table) + std::string(blocks),
                     "image/gif");
    };
    const std::string picture = ",\0\0\0\0\1\0\1\0\0\2\2xy\0"s;
    const std::string comment = "!\xFE\3abc\2de\0"s;
    CHECK(wrong_gif(picture + ";") == "");
    CHECK(wrong_gif(comment + picture + comment + picture + ";") == "");
    CHECK(wrong_gif(picture + ";", "abcdef", 0x80) == "");
    CHECK(wrong_gif(picture + ";", std::string(768, ','), 0x87) == "");
    CHECK(wrong_gif("\0"s + picture + "\0\0;"s) == "");
    const std::string with_table = ",\0\0\0\0\1\0\1\0\x81"s + std::string(12, ';') + "\2\2xy\0"s;
    CHECK(wrong_gif(with_table + ";") == "");

    CHECK(wrong_gif(";") == "the GIF has no picture");
    CHECK(wrong_gif(comment + ";") == "the GIF has no picture");
    CHECK(wrong_gif("x" + picture + ";") == "the GIF has bytes where a block should begin");
    CHECK(wrong_gif(picture) == "the GIF is cut off");
    CHECK(wrong_gif(picture + std::string(500, '\0')) == "the GIF is cut off");
    CHECK(wrong_gif(picture + "!") == "the GIF is cut off");
    CHECK(wrong_gif(picture + "!\xFE\5;") == "the GIF is cut off");
    CHECK(wrong_gif("", "abc", 0x80) == "the GIF is cut off");
}

TEST_CASE("whole image: WebP chunks", "[transform][whole]") {
    const auto wrong_webp = [](const std::string& file) { return wrong(file, "image/webp"); };
    const std::string pixels = webp_chunk("VP8 ", "pixels!");
    CHECK(wrong_webp(webp(pixels)) == "");
    CHECK(wrong_webp(webp(webp_chunk("VP8X", "0123456789") + webp_chunk("ANMF", "frame"))) == "");
    CHECK(wrong_webp(webp(webp_chunk("VP8L", "") + webp_chunk("EXIF", "abc"))) == "");
    // Without the padding at the end.
    CHECK(wrong_webp("RIFF" + little(4 + 15) + "WEBP" + pixels.substr(0, 15)) == "");
    CHECK(wrong_webp(webp("")) == "the WebP has no picture");
    CHECK(wrong_webp(webp(webp_chunk("EXIF", "abc"))) == "the WebP has no picture");
    CHECK(wrong_webp(webp(pixels + "EXIF")) == "the WebP has a chunk that does not end in it");
    CHECK(wrong_webp(webp("VP8 " + little(8) + "pixels!")) ==
          "the WebP has a chunk that does not end in it");
    CHECK(wrong_webp(webp("VP8 \xFF\xFF\xFF\xFFpixels!")) ==
          "the WebP has a chunk that does not end in it");
    CHECK(wrong_webp("RIFF\xFF\xFF\xFF\xFFWEBP" + pixels) == "the WebP is cut off");
    CHECK(wrong_webp("RIFF" + little(0) + "WEBP" + pixels) == "the WebP has no picture");
    CHECK(wrong_webp(with(webp(pixels), "WEBP", "WAVE")) == "the WebP has no beginning");
}

TEST_CASE("whole image: AVIF boxes", "[transform][whole]") {
    const auto wrong_avif = [](const std::string& file) { return wrong(file, "image/avif"); };
    const std::string start = box("ftyp", "avif");
    const std::string meta = box("meta", "m");
    const std::string data = box("mdat", "data");
    CHECK(wrong_avif(avif()) == "");
    CHECK(wrong_avif(start + data + meta) == "");
    CHECK(wrong_avif(start + box("free", "") + meta + box("what", "x") + data) == "");
    CHECK(wrong_avif(start + meta + big(0) + "mdat to the end") == "");
    CHECK(wrong_avif(start + meta + big(1) + "mdat" + big(20, 8) + "data") == "");
    CHECK(wrong_avif(start + meta) == "the AVIF is cut off");
    CHECK(wrong_avif(start + data) == "the AVIF is cut off");
    CHECK(wrong_avif(start) == "the AVIF is cut off");
    CHECK(wrong_avif(meta + start + data) == "the AVIF has no beginning");
    CHECK(wrong_avif(start + start + meta + data) == "the AVIF has no beginning");
    CHECK(wrong_avif(start + meta + big(1) + "mdat" + big(21, 8) + "data") ==
          "the AVIF is cut off");
    CHECK(wrong_avif(start + meta + big(1) + "mdat" + big(~std::uint64_t{0}, 8) + "data") ==
          "the AVIF is cut off");
    CHECK(wrong_avif(start + meta + big(1) + "mdat" + big(15, 8) + "data") ==
          "the AVIF has a box of an impossible length");
    CHECK(wrong_avif(start + meta + big(7) + "mdat") ==
          "the AVIF has a box of an impossible length");
    CHECK(wrong_avif(start + meta + big(1) + "mdat") == "the AVIF is cut off");
    // Behind the last one: a box that is known and cut, or anything.
    CHECK(wrong_avif(avif() + big(100) + "mdat" + "cut") == "the AVIF is cut off");
    CHECK(wrong_avif(avif() + big(100) + "junk" + "cut") == "");
    CHECK(wrong_avif(avif() + big(3) + "junk" + "cut") == "");
    CHECK(wrong_avif(avif() + "1234567") == "");
}

TEST_CASE("whole image: BMP sizes", "[transform][whole]") {
    const auto wrong_bmp = [](const Bmp& header) { return wrong(bmp(header), "image/bmp"); };
    const std::string cut = "the BMP is cut off";
    CHECK(wrong_bmp({}) == "");
    CHECK(wrong_bmp({.pixel_bytes = 47}) == cut);
    CHECK(wrong_bmp({.pixel_bytes = 0}) == cut);
    CHECK(wrong_bmp({.height = -3}) == "");
    CHECK(wrong_bmp({.height = -4}) == cut);
    CHECK(wrong_bmp({.bits = 32, .pixel_bytes = 60}) == "");
    CHECK(wrong_bmp({.bits = 32, .pixel_bytes = 59}) == cut);
    CHECK(wrong_bmp({.bits = 1, .pixel_bytes = 12}) == "");
    CHECK(wrong_bmp({.bits = 1, .pixel_bytes = 11}) == cut);
    CHECK(wrong_bmp({.bits = 8, .offset = 14 + 40 + 1024, .pixel_bytes = 24}) == "");
    CHECK(wrong_bmp({.bits = 8, .offset = 14 + 40 + 1024, .pixel_bytes = 23}) == cut);
    CHECK(wrong_bmp({.header_bytes = 12, .offset = 26}) == "");
    CHECK(wrong_bmp({.header_bytes = 12, .offset = 26, .pixel_bytes = 47}) == cut);
    CHECK(wrong_bmp({.header_bytes = 124,
                     .bits = 32,
                     .compression = 3,
                     .offset = 138,
                     .pixel_bytes = 60}) == "");
    CHECK(wrong_bmp({.header_bytes = 124,
                     .bits = 32,
                     .compression = 3,
                     .offset = 138,
                     .pixel_bytes = 59}) == cut);
    // Run lengths: what the header says, where it says it.
    CHECK(wrong_bmp({.bits = 8, .compression = 1, .compressed_bytes = 20, .pixel_bytes = 20}) ==
          "");
    CHECK(wrong_bmp({.bits = 8, .compression = 1, .compressed_bytes = 20, .pixel_bytes = 19}) ==
          cut);
    CHECK(wrong_bmp({.bits = 8, .compression = 1, .pixel_bytes = 1}) == "");

    CHECK(wrong_bmp({.width = 0}) == "the BMP has no picture");
    CHECK(wrong_bmp({.width = -5}) == "the BMP has no picture");
    CHECK(wrong_bmp({.height = 0}) == "the BMP has no picture");
    CHECK(wrong_bmp({.bits = 0}) == "the BMP has pixels of an unknown kind");
    CHECK(wrong_bmp({.bits = 64}) == "the BMP has pixels of an unknown kind");
    CHECK(wrong_bmp({.header_bytes = 41}) == "the BMP has an unknown header");
    CHECK(wrong_bmp({.offset = 53}) == "the BMP's pixels lie within its header");
    CHECK(wrong_bmp({.offset = 0}) == "the BMP's pixels lie within its header");
    // Too much for 32 and for 64 bits.
    constexpr std::int32_t kMost = 0x7FFFFFFF;
    CHECK(wrong_bmp({.width = kMost, .height = 1}) == cut);
    CHECK(wrong_bmp({.width = kMost, .height = kMost, .bits = 32}) == cut);
    CHECK(wrong_bmp({.width = 1, .height = -kMost - 1}) == cut);
}

TEST_CASE("whole image: files that are pages too", "[transform][whole]") {
    for (const char* text : {"<!DOCTYPE html>", "<!doctype HTML", "<html>", "<HTML lang=x",
                             "<Head>", "<body onload=x>", "<script>alert(1)</script>", "<SCRIPT",
                             "<iframe src=x>", "<svg xmlns=x>", "<?php echo 1;", "<?PHP ",
                             "x<y <b> <script", "<<html", "a < b <!-- <body"}) {
        CAPTURE(text);
        CHECK(other_format_within(std::string_view(text)) == "HTML");
        std::string file = sample(".png");
        file.insert(33, text);
        CHECK(other_format_within(file) == "HTML");
        CHECK(other_format_within(std::string(1024 - std::string_view(text).size(), 'x') + text) ==
              "HTML");
        CHECK_FALSE(other_format_within(std::string(1024, 'x') + text));
    }
    CHECK_FALSE(other_format_within(std::string(1020, 'x') + "<html>"));
}

TEST_CASE("whole image: what is no page", "[transform][whole]") {
    for (const char* text :
         {"", "<", "<htm", "html>", "< html>", "<!doctype", "<scrip", "<?xml version='1.0'?>",
          "<?ph",
          "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
          "<rdf:RDF><rdf:Description xmp:CreatorTool='x'/></rdf:RDF></x:xmpmeta>",
          "%PDF", "%pdf-", "PK\x05\x06", "PK\x03\x04"}) {
        CAPTURE(text);
        CHECK_FALSE(other_format_within(std::string_view(text)));
        CHECK_FALSE(other_format_within("x" + std::string(text) + "x"));
    }
}

TEST_CASE("whole image: files that are documents too", "[transform][whole]") {
    CHECK(other_format_within("%PDF-1.4"sv) == "PDF");
    CHECK(other_format_within(std::string(1019, 'x') + "%PDF-1.4") == "PDF");
    CHECK_FALSE(other_format_within(std::string(1020, 'x') + "%PDF-1.4"));
}

TEST_CASE("whole image: files that are archives too", "[transform][whole]") {
    for (const Sample& each : samples()) {
        CAPTURE(each.name);
        CHECK(other_format_within(zip(each.file)) == "ZIP");
        CHECK(other_format_within(zip(each.file, "a comment")) == "ZIP");
        CHECK(wrong(zip(each.file), each.type) == "");
    }
    const std::string archive = zip("");
    CHECK(other_format_within(archive) == "ZIP");
    CHECK(other_format_within(zip("", std::string(65'535, 'c'))) == "ZIP");
    CHECK(other_format_within(zip("", "PK\x05\x06 in a comment of a length that fits")) == "ZIP");
    CHECK(other_format_within("x" + "PK\x05\x06"s + std::string(18, '\0')) == "ZIP");  // is empty
    CHECK_FALSE(other_format_within(archive + "x"));  // its comment does not reach the end
    CHECK_FALSE(other_format_within(archive.substr(0, archive.size() - 1)));
    // The directory does not lie within.
    const std::string end = archive.substr(archive.size() - 22);
    CHECK_FALSE(other_format_within(end));
    std::string beyond = archive;
    beyond[beyond.size() - 6] = '\x7F';
    CHECK_FALSE(other_format_within(beyond));
    // Where the record leaves it to another one.
    const std::string zip64 = "PK\x06\x07"s + std::string(16, '\0') + "PK\x05\x06"s + big(0) +
                              big(0xFFFFFFFF) + big(0xFFFFFFFF) + big(0xFFFFFFFF) + big(0, 2);
    CHECK(other_format_within(zip64) == "ZIP");
    CHECK_FALSE(other_format_within(zip64.substr(1)));
}
