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
