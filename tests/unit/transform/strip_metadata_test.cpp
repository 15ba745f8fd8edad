#include "transform/strip_metadata.h"

#include "tests/unit/transform/file_parts.h"
#include "tests/unit/transform/gallery.h"
#include "transform/content_type.h"
#include "transform/image_walk.h"
#include "transform/whole_image.h"

#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

// Nothing where there is nothing to take out.
Result<std::optional<std::string>> strip(std::string_view file, std::string_view type) {
    // In memory of its own, so that a sanitizer sees who reads beyond.
    const std::vector<char> bytes(file.begin(), file.end());
    const auto has_some = has_personal_metadata(bytes, type);
    if (!has_some) return std::unexpected(has_some.error());
    if (!*has_some) return std::nullopt;
    std::string out;
    strip_personal_metadata(bytes, type, [&](std::string_view part) { out += part; });
    return out;
}

// The file as it is to be served; a second time there is nothing to do.
std::string stripped(std::string_view file, std::string_view type) {
    const auto out = strip(file, type);
    INFO((out ? std::string() : out.error().text));
    REQUIRE(out);
    if (!*out) return std::string(file);
    const std::string& text = **out;
    CHECK(text.size() <= file.size());
    CHECK(check_whole(text, type));
    const auto again = strip(text, type);
    REQUIRE(again);
    CHECK_FALSE(*again);
    return text;
}

std::string wrong(std::string_view file, std::string_view type) {
    const auto out = strip(file, type);
    if (out) return "";
    CHECK(out.error().kind == ErrorKind::corrupt);
    return out.error().text;
}

bool holds(std::string_view text, std::string_view part) {
    return text.find(part) != text.npos;
}

// Of all frames, with their size.
std::string pixels(std::string_view file, std::string_view type) {
    const bool can_move = type == "image/gif" || type == "image/webp";
    VipsImage* const image =
        vips_image_new_from_buffer(file.data(), file.size(), can_move ? "[n=-1]" : "", nullptr);
    INFO(vips_error_buffer());
    REQUIRE(image != nullptr);
    std::size_t size = 0;
    void* const data = vips_image_write_to_memory(image, &size);
    REQUIRE(data != nullptr);
    std::string text(static_cast<const char*>(data), size);
    text += " " + std::to_string(vips_image_get_width(image)) + "x" +
            std::to_string(vips_image_get_bands(image));
    for (const char* const field : {"delay", "loop", "page-height"}) {
        char* value = nullptr;
        if (vips_image_get_typeof(image, field) == 0) continue;
        REQUIRE(vips_image_get_as_string(image, field, &value) == 0);
        text += " "s + field + "=" + value;
        g_free(value);
    }
    g_free(data);
    g_object_unref(image);
    return text;
}

std::string blob(std::string_view file, const char* field) {
    VipsImage* const image = vips_image_new_from_buffer(file.data(), file.size(), "", nullptr);
    REQUIRE(image != nullptr);
    const void* data = nullptr;
    std::size_t size = 0;
    std::string text;
    if (vips_image_get_typeof(image, field) != 0) {
        REQUIRE(vips_image_get_blob(image, field, &data, &size) == 0);
        text.assign(static_cast<const char*>(data), size);
    }
    g_object_unref(image);
    return text;
}

// What cameras and programs write, as far as libvips can write it.
void tag(Picture& picture, int orientation) {
    picture.set("exif-ifd0-Make", "SECRET (SECRET, ASCII, 7 components, 7 bytes)");
    picture.set("exif-ifd0-DateTime", "2024:SECRET (2024:SECRET, ASCII, 12 components, 12 bytes)");
    picture.set("exif-ifd3-GPSLatitude",
                "48/1 8/1 0/1 (48, 8, 0, Rational, 3 components, 24 bytes)");
    picture.set_blob("xmp-data", "<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET</x:xmpmeta>");
    picture.set_blob("iptc-data", "SECRET IPTC");
    picture.set_blob("icc-profile-data", icc_profile(kAdobeRgb));
    picture.set("png-comment-0-Author", "SECRET");
    picture.set("orientation", orientation);
}

// A TIFF directory (Exif) of these entries: tag, kind, count, value.
struct Entry {
    unsigned tag;
    unsigned kind;
    unsigned count;
    std::string value;  // four bytes
};
std::string exif(const std::vector<Entry>& entries, bool is_big = true) {
    const auto figure = [&](std::uint64_t value, int count) {
        return number(value, count, is_big);
    };
    std::string text = is_big ? "MM\0*"s : "II*\0"s;
    text += figure(8, 4) + figure(entries.size(), 2);
    for (const Entry& entry : entries)
        text += figure(entry.tag, 2) + figure(entry.kind, 2) + figure(entry.count, 4) + entry.value;
    return text + figure(0, 4);
}
// Little, then anything that a camera adds.
std::string oriented_exif(unsigned orientation) {
    return exif({{0x010F, 2, 4, "SEC\0"s}, {0x0112, 3, 1, little(orientation)}}, false) + "SECRET";
}
std::string minimal_exif(unsigned orientation) {
    return exif({{0x0112, 3, 1, big(orientation, 2) + "\0\0"s}});
}

std::string chunk(std::string_view name, std::string_view content) {
    const std::string text = std::string(name) + std::string(content);
    return big(content.size()) + text + big(png_checksum(text));
}
// libvips neither writes nor reads Exif in PNG.
std::string with_png_exif(std::string file, unsigned orientation) {
    constexpr std::size_t kBehindHeader = 33;
    return file.insert(kBehindHeader, chunk("eXIf", oriented_exif(orientation)));
}
int orientation_of(std::string_view file) {
    if (content_type_of(file) != "image/png") return std::max(1, Seen(file).number("orientation"));
    for (unsigned orientation = 2; orientation <= 8; ++orientation) {
        if (holds(file, chunk("eXIf", minimal_exif(orientation)))) return int(orientation);
    }
    CHECK_FALSE(holds(file, "eXIf"));
    return 1;
}

struct Tagged {
    std::string name;
    std::string type;
    std::string file;
};

const std::string kGifComment = "!\xFE\6SECRET\0"s;
// XMP stands there as it is, and its bytes are taken for blocks' lengths: so 255 to 0 follow it.
const std::string kGifXmp = [] {
    std::string text = "!\xFF\x0BXMP DataXMP<x:xmpmeta>SECRET</x:xmpmeta>\1";
    for (int length = 255; length >= 0; --length)
        text.push_back(static_cast<char>(length));
    return text + '\0';
}();
const std::string kGifProfile = "!\xFF\x0BICCRGBG1012\3icc\0"s;

// Behind the header and the colour table.
std::string with_gif_blocks(std::string file, const std::string& blocks) {
    const auto flags = static_cast<unsigned char>(file[10]);
    const std::size_t table = (flags & 0x80) == 0 ? 0 : std::size_t{3} << ((flags & 7) + 1);
    return file.insert(13 + table, blocks);
}

std::vector<Tagged> tagged_samples() {
    Picture picture = with_corners(33, 20);
    tag(picture, 1);
    Picture turned = with_corners(33, 20);
    tag(turned, 6);
    Picture moving = with_corners(24, 48);
    moving.set("page-height", 24);
    tag(moving, 1);
    std::vector<Tagged> all;
    for (const char* suffix : {".jpg", ".jpg[interlace]", ".jpg[restart-interval=1,Q=98]"}) {
        all.push_back({suffix, "image/jpeg", picture.saved(suffix)});
        all.push_back({"turned "s + suffix, "image/jpeg", turned.saved(suffix)});
    }
    for (const char* suffix : {".png", ".png[interlace]"}) {
        all.push_back({suffix, "image/png", picture.saved(suffix)});
        all.push_back({"turned "s + suffix, "image/png", with_png_exif(turned.saved(suffix), 6)});
    }
    for (const char* suffix : {".webp", ".webp[lossless]"}) {
        all.push_back({suffix, "image/webp", picture.saved(suffix)});
        all.push_back({"turned "s + suffix, "image/webp", turned.saved(suffix)});
    }
    all.push_back({"moving .webp", "image/webp", moving.saved(".webp")});
    all.push_back({".avif", "image/avif", picture.saved(".avif[effort=0]")});
    const std::string blocks = kGifComment + kGifXmp + kGifProfile;
    all.push_back({".gif", "image/gif", with_gif_blocks(picture.saved(".gif"), blocks)});
    all.push_back({"moving .gif", "image/gif", with_gif_blocks(moving.saved(".gif"), blocks)});
    return all;
}

std::string segment(unsigned char marker, std::string_view content) {
    return "\xFF"s + static_cast<char>(marker) + big(content.size() + 2, 2) + std::string(content);
}
const std::string kJpegPicture = segment(0xC0, "frame") + segment(0xDA, "scan") + "pixels";
std::string jpeg(const std::string& segments) {
    return "\xFF\xD8" + segments + kJpegPicture + "\xFF\xD9";
}
std::string stripped_jpeg(const std::string& file) {
    return stripped(file, "image/jpeg");
}

std::string png(const std::string& chunks) {
    return "\x89PNG\r\n\x1A\n" + chunk("IHDR", std::string(13, '\1')) + chunks +
           chunk("IDAT", "pixels") + chunk("IEND", "");
}

}  // namespace

TEST_CASE("strip metadata: pixels, profile and orientation stay, the rest goes",
          "[transform][strip]") {
    for (const Tagged& each : tagged_samples()) {
        CAPTURE(each.name);
        REQUIRE(content_type_of(each.file) == each.type);
        const std::string out = stripped(each.file, each.type);
        CHECK(out != each.file);
        CHECK((pixels(out, each.type) == pixels(each.file, each.type)));
        for (const char* const part :
             {"SECRET", "2024", "adobe:ns", "GPS", "XMP", "IPTC", "8BIM"}) {
            CAPTURE(part);
            CHECK_FALSE(holds(out, part));
        }
        const Seen seen(out);
        CHECK_FALSE(seen.has("exif-ifd0-Make"));
        CHECK_FALSE(seen.has("exif-ifd3-GPSLatitude"));
        CHECK_FALSE(seen.has("iptc-data"));
        CHECK_FALSE(holds(blob(out, "xmp-data"), "xmp"));
        // The resolution.
        const std::size_t density = each.file.find(each.type == "image/jpeg" ? "JFIF" : "pHYs");
        if (density != std::string::npos) CHECK(holds(out, each.file.substr(density, 12)));
        const bool is_turned = each.name.starts_with("turned");
        CHECK(orientation_of(out) == (is_turned ? 6 : 1));
        if (each.type == "image/gif") {
            CHECK(holds(out, kGifProfile));
        } else {
            CHECK(blob(out, "icc-profile-data") == icc_profile(kAdobeRgb));
        }
    }
}

TEST_CASE("strip metadata: every orientation", "[transform][strip]") {
    for (const char* const suffix : {".jpg", ".png", ".webp"}) {
        for (int orientation = 1; orientation <= 8; ++orientation) {
            CAPTURE(suffix, orientation);
            Picture picture = with_corners(33, 20);
            tag(picture, orientation);
            std::string file = picture.saved(suffix);
            const std::string_view type = content_type_of(file);
            if (type == "image/png") {
                file = with_png_exif(file, unsigned(orientation));
            } else {
                REQUIRE(orientation_of(file) == orientation);
            }
            const std::string out = stripped(file, type);
            CHECK(orientation_of(out) == orientation);
            CHECK(holds(out, minimal_exif(unsigned(orientation))) == (orientation != 1));
            CHECK((pixels(out, type) == pixels(file, type)));
        }
    }
}

TEST_CASE("strip metadata: files without any stay as they are", "[transform][strip]") {
    const Picture picture = with_corners(33, 20);
    for (const char* const suffix : {".jpg[strip]", ".png[strip]", ".gif[strip]"}) {
        CAPTURE(suffix);
        const std::string file = picture.saved(suffix);
        const auto out = strip(file, content_type_of(file));
        REQUIRE(out);
        CHECK_FALSE(*out);
    }
    const std::string bmp = "BM" + little(0) + little(0) + little(54) + little(40) + little(1) +
                            little(1) + little(1, 2) + little(24, 2) + std::string(24, '\0') +
                            "pix\0"s;
    CHECK(stripped(bmp + "profile", "image/bmp") == bmp + "profile");
    CHECK(wrong(bmp.substr(0, 50), "image/bmp") == "the BMP is cut off");
    const auto other = strip(bmp, "image/svg+xml");
    REQUIRE_FALSE(other);
    CHECK(other.error().kind == ErrorKind::invalid);
}

TEST_CASE("strip metadata: cut anywhere, a file is corrupt", "[transform][strip]") {
    for (const Tagged& each : tagged_samples()) {
        CAPTURE(each.name);
        for (std::size_t length = 0; length < each.file.size(); ++length) {
            const auto out = strip(std::string_view(each.file).substr(0, length), each.type);
            if (out || out.error().kind != ErrorKind::corrupt)
                FAIL_CHECK("cut at " << length << " of " << each.file.size());
        }
    }
}

TEST_CASE("strip metadata: any byte may be another", "[transform][strip]") {
    for (const Tagged& each : tagged_samples()) {
        CAPTURE(each.name);
        for (std::size_t at = 0; at < each.file.size(); at += at < 2500 ? 1 : 7) {
            for (const char value : {'\0', '\1', '\xFF'}) {
                std::string other = each.file;
                other[at] = value;
                const auto out = strip(other, each.type);
                if (!out || !*out) continue;
                const auto again = strip({(*out)->data(), (*out)->size()}, each.type);
                if (!check_whole(**out, each.type) || !again || *again)
                    FAIL_CHECK("with another byte at " << at);
            }
        }
    }
}

TEST_CASE("strip metadata: what follows the image goes", "[transform][strip]") {
    for (const Tagged& each : tagged_samples()) {
        CAPTURE(each.name);
        const std::string out = stripped(each.file, each.type);
        for (const std::string& more :
             {std::string("x"), std::string(1000, '\0'), "MotionPhoto_Data" + std::string(500, 'x'),
              box("mpvd", box("ftyp", "mp42") + "SECRET"), each.file}) {
            CAPTURE(more.substr(0, 20));
            CHECK(stripped(each.file + more, each.type) == out);
            CHECK(stripped(out + more, each.type) == out);
        }
    }
}

TEST_CASE("strip metadata: JPEG segments", "[transform][strip]") {
    const std::string jfif = segment(0xE0, "JFIF\0\1\2\1\0H\0H\0\0"s);
    const std::string profile = segment(0xE2, "ICC_PROFILE\0\1\2abc"s);
    const std::string adobe = segment(0xEE, "Adobe\0d\0\0\0\0\1"s);
    const std::string kept = jfif + profile + profile + adobe + segment(0xDB, "quantities");
    CHECK(stripped_jpeg(jpeg(kept)) == jpeg(kept));
    CHECK_FALSE(*strip(jpeg(kept), "image/jpeg"));
    for (const std::string& gone : {segment(0xE1, "Exif\0\0SECRET"s),
                                    segment(0xE1, "Exif"),
                                    segment(0xE1, "Exif\0"s),
                                    segment(0xE1, ""),
                                    segment(0xE1, "http://ns.adobe.com/xap/1.0/\0<x>"s),
                                    segment(0xE1, "http://ns.adobe.com/xmp/extension/\0<x>"s),
                                    segment(0xED, "Photoshop 3.0"),
                                    segment(0xFE, "SECRET"),
                                    segment(0xE2, "MPF\0II*\0"s),
                                    segment(0xE2, ""),
                                    segment(0xE0, "JFXX\0\x10thumbnail"s),
                                    segment(0xEB, "JP C2PA"),
                                    segment(0xEE, "Ducky"),
                                    segment(0xE3, "Meta"),
                                    segment(0xEF, "x"),
                                    "bytes between"s,
                                    "\xFF\0x"s,
                                    "\xFF\xD0"s,
                                    segment(0xE1, "Exif\0\0"s + oriented_exif(1)),
                                    segment(0xE1, "Exif\0\0"s + oriented_exif(9))}) {
        CAPTURE(gone);
        CHECK(stripped_jpeg(jpeg(gone + kept)) == jpeg(kept));
        CHECK(stripped_jpeg(jpeg(kept + gone)) == jpeg(kept));
        CHECK(stripped_jpeg(jpeg(kept + "\xFF\xFF\xFF" + segment(0xFE, "x") + gone)) == jpeg(kept));
    }
    // A thumbnail in JFIF.
    CHECK(stripped_jpeg(jpeg(segment(0xE0, "JFIF\0\1\2\1\0H\0H\1\1rgb"s))) == jpeg(jfif));
    // In place of what was there; a second Exif does not count.
    const std::string other = segment(0xE1, "Exif\0\0"s + oriented_exif(3));
    CHECK(
        stripped_jpeg(jpeg(jfif + segment(0xE1, "Exif\0\0"s + oriented_exif(6)) + other + adobe)) ==
        jpeg(jfif + segment(0xE1, "Exif\0\0"s + minimal_exif(6)) + adobe));
    CHECK(stripped_jpeg(jpeg(segment(0xE1, "Exif\0\0"s + oriented_exif(1)) + other)) == jpeg(""));
}

TEST_CASE("strip metadata: scans of a JPEG stay byte for byte", "[transform][strip]") {
    const std::string scan =
        "\xFF\xFF\xFF" + segment(0xDA, "x").substr(1) + "pi\xFF\0xe\xFF\xD0ls"s;
    const std::string start = "\xFF\xD8" + segment(0xC2, "frame") + scan;
    const std::string end = segment(0xC4, "codes") + scan + "\xFF\xFF\xD9";
    const std::string comment = segment(0xFE, "SECRET") + "skipped";
    CHECK(stripped_jpeg(start + end) == start + end);
    CHECK_FALSE(*strip(start + end, "image/jpeg"));
    CHECK(stripped_jpeg(start + comment + end + "SECRET") == start + end);
}

TEST_CASE("strip metadata: which Exif gives an orientation", "[transform][strip]") {
    const auto kept = [](const std::string& exif) {
        const std::string out = stripped_jpeg(jpeg(segment(0xE1, "Exif\0\0"s + exif)));
        if (out == jpeg("")) return '1';
        REQUIRE(out.size() > 2 + 4 + 6 + 19);
        const char orientation = static_cast<char>(out[2 + 4 + 6 + 19] + '0');
        CHECK(out == jpeg(segment(0xE1, "Exif\0\0"s + minimal_exif(unsigned(orientation - '0')))));
        return orientation;
    };
    const Entry six{0x0112, 3, 1, "\0\6\0\0"s};
    const Entry other{0x010F, 2, 4, "abc\0"s};
    CHECK(kept(minimal_exif(6)) == '6');
    CHECK(kept(oriented_exif(8)) == '8');
    CHECK(kept(exif({other, other, six})) == '6');
    CHECK(kept(exif({six, other})) == '6');
    CHECK(kept(exif({other, other})) == '1');
    CHECK(kept(exif({{0x0112, 4, 1, "\0\0\0\6"s}})) == '1');
    CHECK(kept(exif({{0x0112, 3, 2, "\0\6\0\6"s}})) == '1');
    CHECK(kept(exif({{0x0112, 3, 1, "\0\0\0\0"s}})) == '1');
    CHECK(kept(exif({{0x0112, 3, 1, "\1\6\0\0"s}})) == '1');
    std::string far = exif({six});
    far.replace(4, 4, big(26)).append(far.substr(8));
    CHECK(kept(far) == '6');
    for (const std::uint64_t directory : {0U, 7U, 25U, 26U, 27U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
        std::string lost = exif({six});
        CHECK(kept(lost.replace(4, 4, big(directory))) == '1');
    }
    // More entries than there are bytes.
    std::string many = exif({other});
    CHECK(kept(many.replace(8, 2, "\xFF\xFF")) == '1');
    for (std::size_t length = 0; length < minimal_exif(6).size(); ++length)
        CHECK(kept(minimal_exif(6).substr(0, length)) == '1');
}

TEST_CASE("strip metadata: PNG chunks", "[transform][strip]") {
    const auto stripped_png = [](const std::string& file) { return stripped(file, "image/png"); };
    std::string kept;
    for (const char* const name : {"iCCP", "sRGB", "gAMA", "cHRM", "pHYs", "acTL", "fcTL", "tRNS"})
        kept += chunk(name, "content");
    std::string gone;
    for (const char* const name : {"tEXt", "zTXt", "iTXt", "tIME", "eXIf", "dSIG", "caBX"})
        gone += chunk(name, "SECRET");
    CHECK_FALSE(*strip(png(kept), "image/png"));
    CHECK(stripped_png(png(kept + gone)) == png(kept));
    CHECK(stripped_png(png(gone + kept) + "SECRET") == png(kept));
    CHECK(stripped_png(png(chunk("eXIf", oriented_exif(5)) + kept + chunk("eXIf", "x"))) ==
          png(chunk("eXIf", minimal_exif(5)) + kept));
    // A checksum that is wrong stays so.
    std::string damaged = chunk("gAMA", "content");
    damaged.back() = static_cast<char>(damaged.back() ^ 1);
    CHECK(stripped_png(png(damaged + gone)) == png(damaged));
}

TEST_CASE("strip metadata: GIF blocks", "[transform][strip]") {
    const auto gif = [](const std::string& blocks) {
        return "GIF89a" + std::string(4, '\1') + "\0\0\0"s + blocks +
               ",\0\0\0\0\1\0\1\0\0\2\2xy\0;"s;
    };
    const std::string loop = "!\xFF\x0BNETSCAPE2.0\3\1\0\0\0"s;
    const std::string other_loop =
        "!\xFF\x0B"
        "ANIMEXTS1.0\3\1\0\0\0"s;
    const std::string kept = loop + other_loop + kGifProfile + "!\xF9\4\0\0\0\0\0"s + "!\1\2ab\0"s;
    CHECK_FALSE(*strip(gif(kept), "image/gif"));
    for (const std::string& gone :
         {kGifComment, kGifXmp, "!\xFF\x0BMGK8BIM0000\6SECRET\0"s, "!\xFE\0"s, "!\xFF\0"s,
          "!\xFF\x0ANETSCAPE2.\0"s, "!\x42\6SECRET\0"s}) {
        CHECK(stripped(gif(gone + kept), "image/gif") == gif(kept));
        CHECK(stripped(gif(kept + gone) + "SECRET", "image/gif") == gif(kept));
    }
}

TEST_CASE("strip metadata: WebP chunks", "[transform][strip]") {
    const auto stripped_webp = [](const std::string& file) { return stripped(file, "image/webp"); };
    const auto head = [](char flags) { return webp_chunk("VP8X", flags + "123456789"s); };
    const std::string pixels = webp_chunk("VP8 ", "pixels!");
    const std::string turned = webp_chunk("EXIF", oriented_exif(6));
    const std::string minimal = webp_chunk("EXIF", minimal_exif(6));
    CHECK_FALSE(*strip(webp(pixels), "image/webp"));
    CHECK_FALSE(*strip(webp(head('\x30') + webp_chunk("ICCP", "x") + pixels), "image/webp"));
    CHECK(stripped_webp(webp(head('\x3E') + pixels + turned + webp_chunk("XMP ", "x")) + "more") ==
          webp(head('\x3A') + pixels + minimal));
    CHECK(stripped_webp(webp(head('\x0C') + pixels)) == webp(head('\0') + pixels));
    CHECK(stripped_webp(
              webp(head('\x08') + pixels + webp_chunk("EXIF", "Exif\0\0"s + oriented_exif(6)))) ==
          webp(head('\x08') + pixels + minimal));
    CHECK(stripped_webp(webp(head('\x08') + pixels + webp_chunk("EXIF", oriented_exif(1)) +
                             turned)) == webp(head('\0') + pixels));
    // Nobody takes notice of these.
    CHECK(stripped_webp(webp(pixels + turned)) == webp(pixels));
    CHECK(stripped_webp(webp(head('\x04') + pixels + turned)) == webp(head('\0') + pixels));
    CHECK(stripped_webp(webp(turned + head('\x08') + pixels)) == webp(head('\0') + pixels));
    CHECK(stripped_webp(webp(pixels + webp_chunk("C2PA", "SECRET"))) == webp(pixels));
    CHECK(stripped_webp(webp(pixels + webp_chunk("RIFF", "x"))) == webp(pixels));
    CHECK(stripped_webp(webp(webp_chunk("VP8X", "") + pixels + turned)) ==
          webp(webp_chunk("VP8X", "") + pixels));
    // Without the padding at the end.
    const std::string unpadded = pixels.substr(0, 15);
    CHECK(stripped_webp("RIFF" + little(4 + 10 + 15) + "WEBP" + webp_chunk("XMP ", "x") + unpadded +
                        "trail") == "RIFF" + little(4 + 15) + "WEBP" + unpadded);
}

namespace {

// An AVIF of three items, whose payloads are in mdat or idat.
struct HandAvif {
    int iloc_version = 1;
    int method = 0;                 // of the metadata
    std::string in_iinf{};          // more entries
    std::uint64_t more_length = 0;  // of the XMP, than it has
    std::uint64_t exif_offset = 0;  // that the Exif is farther than where it is
    std::string kind = "Exif";
    unsigned entry_version = 2;
    std::uint64_t source = 0;
    bool has_iloc = true;
    std::string end{};  // of the top
    std::string in_meta{};
    std::string pixels = "PIXELS";
};
const std::string kHandExif = "\0\0\0\0"s + oriented_exif(6);
const std::string kHandXmp = "<x:xmpmeta>SECRET</x:xmpmeta>";

std::string full_box(std::string_view name, unsigned version, const std::string& content) {
    return box(name, big(version, 1) + big(0, 3) + content);
}
std::string item_entry(unsigned number, std::string_view kind, unsigned version = 2) {
    return full_box("infe", version,
                    big(number, version == 3 ? 4 : 2) + big(0, 2) + std::string(kind) + "\0"s);
}

std::string hand_avif(const HandAvif& hand) {
    const std::string start = box("ftyp", "avif\0\0\0\0avifmif1"sv);
    const std::string& pixels = hand.pixels;
    const std::string metadata = kHandExif + kHandXmp;
    const auto meta_at = [&](std::uint64_t media, std::uint64_t data) {
        const int id = hand.iloc_version == 2 ? 4 : 2;
        const auto place = [&](unsigned number, int method, std::uint64_t base,
                               const std::string& extents) {
            std::string entry = big(number, id);
            if (hand.iloc_version > 0) entry += big(static_cast<std::uint64_t>(method), 2);
            return entry + big(number == 1 ? 0 : hand.source, 2) + big(base) + extents;
        };
        const std::uint64_t exif = (hand.method == 0 ? data : 0) + hand.exif_offset;
        const std::uint64_t xmp = kHandExif.size() + 4;
        const std::string places =
            place(1, 0, 0, big(1, 2) + big(media) + big(pixels.size())) +
            // In two parts, and one behind the other.
            place(2, hand.method, exif,
                  big(2, 2) + big(0) + big(kHandExif.size()) + big(kHandExif.size()) + big(4)) +
            place(3, hand.method, exif,
                  big(1, 2) + big(xmp) + big(kHandXmp.size() - 4 + hand.more_length));
        const std::string iloc = full_box("iloc", static_cast<unsigned>(hand.iloc_version),
                                          "\x44\x40"s + big(3, id) + places);
        return full_box("meta", 0,
                        full_box("iinf", 0,
                                 big(3, 2) + item_entry(1, "av01") +
                                     item_entry(2, hand.kind, hand.entry_version) +
                                     item_entry(3, "mime") + hand.in_iinf) +
                            (hand.has_iloc ? iloc : "") + hand.in_meta +
                            (hand.method == 1 ? box("idat", metadata) : ""));
    };
    const std::uint64_t media = start.size() + meta_at(0, 0).size() + 8;
    return start + meta_at(media, media + pixels.size()) +
           box("mdat", pixels + (hand.method == 0 ? metadata : "")) + hand.end;
}

// What is to come of it.
std::string erased(std::string file) {
    const std::size_t exif = file.find(kHandExif);
    REQUIRE(exif != file.npos);
    const std::string minimal = "\0\0\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"s;
    file.replace(exif, kHandExif.size() + kHandXmp.size(),
                 minimal + std::string(kHandExif.size() + kHandXmp.size() - minimal.size(), '\0'));
    return file;
}

}  // namespace

TEST_CASE("strip metadata: items of an AVIF are overwritten where they are", "[transform][strip]") {
    for (const int version : {0, 1, 2}) {
        for (const int method : {0, 1}) {
            if (version == 0 && method == 1) continue;
            CAPTURE(version, method);
            const std::string file = hand_avif({.iloc_version = version, .method = method});
            CHECK(stripped(file, "image/avif") == erased(file));
        }
    }
    const std::string newer = hand_avif({.entry_version = 3});
    CHECK(stripped(newer, "image/avif") == erased(newer));
}

// It is written 64 KiB at a time.
TEST_CASE("strip metadata: what is overwritten in an AVIF may be anywhere", "[transform][strip]") {
    constexpr std::size_t kStretch = 64 << 10;
    const auto file = [](std::size_t pixels, std::string_view name, char in_it) {
        const std::string behind = box(name, std::string(kStretch, in_it)) + box("free", "");
        return hand_avif({.end = behind, .pixels = std::string(pixels, 'x')});
    };
    const std::size_t exif = file(0, "what", 'S').find(kHandExif);
    const std::size_t end = kHandExif.size() + kHandXmp.size() + 8;  // and the box's head
    for (std::size_t at = kStretch - end - 2; at <= kStretch + 2; ++at) {
        CAPTURE(at);
        const std::string out = stripped(file(at - exif, "what", 'S'), "image/avif");
        CHECK((out == erased(file(at - exif, "free", '\0'))));  // too long to be shown
    }
}

TEST_CASE("strip metadata: AVIF whose items cannot be followed", "[transform][strip]") {
    const auto wrong_avif = [](const HandAvif& hand) {
        return wrong(hand_avif(hand), "image/avif");
    };
    const std::string unknown = "the AVIF says in an unknown way where its metadata is";
    CHECK(wrong_avif({}) == "");
    CHECK(wrong_avif({.iloc_version = 3}) == unknown);
    CHECK(wrong_avif({.method = 2}) == unknown);
    CHECK(wrong_avif({.more_length = 1}) == "the AVIF has an item outside of the file");
    CHECK(wrong_avif({.more_length = 1, .end = box("free", "1234")}) == unknown);
    CHECK(wrong_avif({.method = 1, .more_length = 1}) ==
          "the AVIF has an item outside of the file");
    CHECK(wrong_avif({.more_length = 4 - kHandXmp.size()}) == unknown);  // it has none
    CHECK(wrong_avif({.exif_offset = 0xFFFF0000}) == "the AVIF has an item outside of the file");
    CHECK(wrong_avif({.exif_offset = std::uint64_t(-1)}) ==
          "the AVIF has metadata and pixels in one place");
    CHECK(wrong_avif({.exif_offset = std::uint64_t(-20)}) == unknown);  // the head of mdat
    CHECK(wrong_avif({.entry_version = 1}) == unknown);
    CHECK(wrong_avif({.source = 1}) == unknown);
    CHECK(wrong_avif({.has_iloc = false}) == unknown);
    CHECK(wrong_avif({.in_iinf = item_entry(9, "Exif")}) == unknown);
    CHECK(wrong_avif({.in_iinf = item_entry(9, "av01")}) == "");
    CHECK(wrong_avif({.in_iinf = item_entry(1, "Exif")}) == "the AVIF has two items of one number");
    CHECK(wrong_avif({.in_iinf = "1234567"}) == unknown);
    CHECK(wrong_avif({.in_meta = box("iloc", "x")}) == unknown);
    CHECK(wrong_avif({.in_meta = "1234567"}) == unknown);
    // Extents that take no bytes, of which there would be thousands of millions.
    std::string places;
    for (int i = 0; i < 1000; ++i)
        places += big(1, 2) + big(0, 2) + big(0xFFFF, 2);
    const std::string file =
        box("ftyp", "avif") +
        full_box("meta", 0, full_box("iloc", 0, "\0\0"s + big(1000, 2) + places)) +
        box("mdat", "x");
    CHECK(wrong(file, "image/avif") == unknown);
}

TEST_CASE("strip metadata: boxes of an AVIF that hold metadata become free", "[transform][strip]") {
    const std::string uuid = box("uuid", "0123456789abcdefSECRET");
    const std::string gone = box("free", std::string(22, '\0'));
    const auto film = [](const std::string& inner, const std::string& times) {
        return box("moov", full_box("mvhd", 0, times + "rest") + inner +
                               box("trak", full_box("tkhd", 0, times + "rest") + inner +
                                               box("mdia", full_box("mdhd", 0, times + "rest") +
                                                               box("minf", "frames"))));
    };
    const std::string last = box("free", "");  // so that the others are not behind the image
    for (const auto& [from, to] :
         {std::pair(uuid, gone),
          {box("what", "SECRET"), box("free", std::string(6, '\0'))},
          {box("free", "SECRET"), box("free", std::string(6, '\0'))},
          {film(uuid, "SECRET42"), film(gone, std::string(8, '\0'))},
          {film(box("udta", "SECRET"), "SECRET42"),
           film(box("free", std::string(6, '\0')), std::string(8, '\0'))}}) {
        const std::string out = stripped(hand_avif({.end = from + last}), "image/avif");
        CHECK(out == erased(hand_avif({.end = to + last})));
    }
    CHECK(stripped(hand_avif({.in_meta = uuid}), "image/avif") ==
          erased(hand_avif({.in_meta = gone})));
    CHECK(stripped(hand_avif({.end = uuid}), "image/avif") == erased(hand_avif({})));
}

TEST_CASE("strip metadata: tracks of an AVIF share its metadata", "[transform][strip]") {
    const std::string still = hand_avif({});
    const std::size_t exif = still.find(kHandExif);
    const auto moving = [&](std::string_view kind) {
        const std::string places = full_box("iloc", 0,
                                            "\x44\0"s + big(1, 2) + big(1, 2) + big(0, 2) +
                                                big(1, 2) + big(exif) + big(kHandExif.size()));
        const std::string items = full_box("iinf", 0, big(1, 2) + item_entry(1, kind));
        return hand_avif({.end = box("moov", box("trak", full_box("meta", 0, items + places)))});
    };
    CHECK(stripped(moving("Exif"), "image/avif") == erased(moving("Exif")));
    CHECK(wrong(moving("av01"), "image/avif") == "the AVIF has metadata and pixels in one place");
}

TEST_CASE("strip metadata: an AVIF of too many parts", "[transform][strip]") {
    std::string boxes;
    for (int i = 0; i < 300'000; ++i)
        boxes += box("free", "");
    CHECK(wrong(hand_avif({.end = boxes}), "image/avif") == "the AVIF has too many parts");
}
