#include "transform/content_type.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::transform;
using namespace std::string_literals;

namespace {

std::string_view type_of(const std::string& text) {
    return content_type_of({text.data(), text.size()});
}
std::string_view served(const std::string& text, std::string_view name) {
    return served_type(look_at({text.data(), text.size()}), name);
}

const std::string kJpeg = "\xFF\xD8\xFF\xE0\0\x10JFIF\0"s;
const std::string kBitmap = "BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0"s;

std::string iso(const std::string& brands) {
    return "\0\0\0"s + static_cast<char>(8 + brands.size()) + "ftyp" + brands +
           "more of it, as files have";
}

}  // namespace

TEST_CASE("content type: what the first bytes show", "[transform][content_type]") {
    struct Case {
        std::string bytes;
        const char* type;
    };
    for (const Case& each : std::initializer_list<Case>{
             {kJpeg, "image/jpeg"},
             {"\x89PNG\r\n\x1A\n"s, "image/png"},
             {"GIF87a", "image/gif"},
             {"GIF89a", "image/gif"},
             {"RIFF\x24\0\0\0WEBPVP8 "s, "image/webp"},
             {"RIFF\x24\0\0\0WAVEfmt "s, "application/octet-stream"},
             {kBitmap, "image/bmp"},
             {"BM is how this text begins, and it is long enough", "application/octet-stream"},
             {"\xFF\x0A\xFA"s, "image/jxl"},
             {"\0\0\0\x0CJXL \r\n\x87\n"s, "image/jxl"},
             {"II*\0\x08"s, "image/tiff"},
             {"MM\0*\0"s, "image/tiff"},
             {"\0\0\x01\0\x01\0"s, "image/x-icon"},
             {iso("avif\0\0\0\0"s), "image/avif"},
             {iso("mif1\0\0\0\0mif1avif"s), "image/avif"},
             {iso("heic\0\0\0\0"s), "image/heic"},
             {iso("isom\0\0\0\0"s), "video/mp4"},
             {iso("none\0\0\0\0"s), "application/octet-stream"},
             {"%PDF-1.7", "application/pdf"},
             {"", "application/octet-stream"},
             {"\xFF\xD8"s, "application/octet-stream"},
             {"plain words", "application/octet-stream"}}) {
        CAPTURE(each.bytes);
        CHECK(type_of(each.bytes) == each.type);
    }
}

TEST_CASE("content type: markup is found where a browser finds it", "[transform][content_type]") {
    struct Case {
        std::string bytes;
        const char* type;
    };
    for (const Case& each :
         std::initializer_list<Case>{{"<!DOCTYPE html><p>", "text/html"},
                                     {"<!doctype HTML>", "text/html"},
                                     {"  \n\t<script>", "text/html"},
                                     {"\xEF\xBB\xBF<html>"s, "text/html"},
                                     {"<!-- a --><!-- b --> <body>", "text/html"},
                                     {"<!-- that never ends", "text/html"},
                                     {"<img src=x onerror=alert(1)>", "text/html"},
                                     {"<svg xmlns='x'>", "image/svg+xml"},
                                     {"<?xml version='1.0'?><svg>", "image/svg+xml"},
                                     {"<?xml version='1.0'?><!-- <x> -->\n<svg >", "image/svg+xml"},
                                     {"<?xml version='1.0'?><note>", "application/xml"},
                                     {"<!DOCTYPE svg PUBLIC 'x'><svg/>", "image/svg+xml"},
                                     {"\xFF\xFE<\0s\0"s, "text/html"},
                                     {"\xFE\xFF\0<\0s"s, "text/html"},
                                     {"<imgx>", "application/octet-stream"},
                                     {"< html>", "application/octet-stream"},
                                     {"5 < 6", "application/octet-stream"}}) {
        CAPTURE(each.bytes);
        CHECK(type_of(each.bytes) == each.type);
    }
}

TEST_CASE("content type: a name never makes a type that the bytes do not support",
          "[transform][content_type]") {
    CHECK(served(kJpeg, "a.png") == "image/jpeg");
    CHECK(served(kJpeg, "a") == "image/jpeg");
    CHECK(served("<script>", "a.jpg") == "text/html");
    CHECK(served("plain words", "a.jpg") == "application/octet-stream");
    CHECK(served("body {}", "a.css") == "text/css");
    CHECK(served("plain words", "a.txt") == "text/plain");
    CHECK(served("bi\0nary"s, "a.txt") == "application/octet-stream");
    CHECK(served("plain words", "a.unknown") == "application/octet-stream");
}

TEST_CASE("content type: names", "[transform][content_type]") {
    CHECK(content_type_by_name("uploads/a.JPG") == "image/jpeg");
    CHECK(content_type_by_name("a.b.webp") == "image/webp");
    CHECK(content_type_by_name("jpg").empty());
    CHECK(content_type_by_name("a.").empty());
    CHECK(content_type_by_name("a.jpg/b").empty());
    CHECK(content_type_by_name("").empty());
}

TEST_CASE("content type: what a browser would run, and what a rule means",
          "[transform][content_type]") {
    for (const char* type : {"text/html", "image/svg+xml", "application/xml"}) {
        CAPTURE(type);
        CHECK(is_active_content(type));
    }
    CHECK_FALSE(is_active_content("image/jpeg"));
    CHECK(type_matches("image/jpeg", "image/jpeg"));
    CHECK(type_matches("image/jpeg", "image/*"));
    CHECK(type_matches("image/jpeg", "*"));
    CHECK_FALSE(type_matches("image/jpeg", "image/png"));
    CHECK_FALSE(type_matches("imagex/jpeg", "image/*"));
    CHECK_FALSE(type_matches("video/mp4", "image/*"));
}

TEST_CASE("content type: a signature that is cut short shows nothing",
          "[transform][content_type]") {
    for (const std::string& signature : std::initializer_list<std::string>{
             "\xFF\xD8\xFF"s, "\x89PNG\r\n\x1A\n"s, "GIF87a", "GIF89a", "RIFF\x24\0\0\0WEBP"s,
             kBitmap.substr(0, 18), "\xFF\x0A"s, "\0\0\0\x0CJXL \r\n\x87\n"s, "II*\0"s, "MM\0*"s,
             "\0\0\x01\0"s, "%PDF-", "\x1A\x45\xDF\xA3"s, "PK\x03\x04"s, "\x1F\x8B"s,
             "\0\0\0\x10\x66typavif\0\0\0\0"s, "<script"}) {
        REQUIRE(type_of(signature) != kUnknownType);
        for (std::size_t bytes = 0; bytes < signature.size(); ++bytes) {
            CAPTURE(signature, bytes);
            // In memory of its own, so that a look behind its end is seen.
            const std::string cut(signature.data(), bytes);
            CHECK(type_of(cut) == kUnknownType);
        }
    }
}

TEST_CASE("content type: every brand of ISO media, as the major or a compatible one",
          "[transform][content_type]") {
    struct Case {
        const char *brand, *type;
    };
    for (const Case& each : std::initializer_list<Case>{{"avif", "image/avif"},
                                                        {"avis", "image/avif"},
                                                        {"heic", "image/heic"},
                                                        {"heix", "image/heic"},
                                                        {"heim", "image/heic"},
                                                        {"heis", "image/heic"},
                                                        {"hevc", "image/heic"},
                                                        {"hevx", "image/heic"},
                                                        {"isom", "video/mp4"},
                                                        {"iso2", "video/mp4"},
                                                        {"mp41", "video/mp4"},
                                                        {"mp42", "video/mp4"},
                                                        {"qt  ", "application/octet-stream"}}) {
        CAPTURE(each.brand);
        CHECK(type_of(iso(each.brand + "\0\0\0\0"s)) == each.type);
        CHECK(type_of(iso("mif1\0\0\0\0miaf"s + each.brand)) == each.type);
        // Neither the minor version nor what lies behind the box is a brand.
        CHECK(type_of(iso("mif1"s + each.brand + "miaf")) == kUnknownType);
        CHECK(type_of(iso("mif1\0\0\0\0"s) + each.brand) == kUnknownType);
    }
}

TEST_CASE("content type: every tag that HTML begins with, ended as a browser ends it",
          "[transform][content_type]") {
    for (const std::string tag :
         {"!DOCTYPE HTML", "html", "head",   "script", "iframe", "h1",   "div", "font",
          "table",         "a",    "style",  "title",  "b",      "body", "br",  "p",
          "img",           "form", "object", "embed",  "meta",   "link"}) {
        for (const char end : {'>', ' ', '/', '\t', '\n', '\r', '\f'}) {
            CAPTURE(tag, end);
            CHECK(type_of("<" + tag + end) == "text/html");
        }
        CHECK(type_of("<" + tag + "_>") == kUnknownType);
    }
}

TEST_CASE("content type: what stands behind the first kilobyte is not looked at",
          "[transform][content_type]") {
    const std::string far(kSniffBytes, ' ');
    CHECK(type_of(far.substr(6) + "<html>") == "text/html");
    CHECK(type_of(far + "<html>") == kUnknownType);
    CHECK(look_at(far + "\0"s).plain_text);
    CHECK_FALSE(look_at(far.substr(1) + "\0"s).plain_text);
}

TEST_CASE("content type: scripts and documents are active, pictures are not",
          "[transform][content_type]") {
    CHECK(is_active_content("text/javascript"));
    CHECK(is_active_content("application/pdf"));
    for (const char* type : {"image/png", "image/gif", "image/webp", "image/avif", "image/heic",
                             "video/mp4", "text/plain", "application/octet-stream", ""}) {
        CAPTURE(type);
        CHECK_FALSE(is_active_content(type));
    }
    // A picture's name does not make markup a picture, nor markup's name text active in vain.
    CHECK(served("<svg onload=alert(1)>", "a.png") == "image/svg+xml");
    CHECK(served("<x:svg xmlns:x='http://www.w3.org/2000/svg'/>", "a.svg") == "image/svg+xml");
    CHECK(served("<note/>", "a.png") == kUnknownType);
}
