#include "proxy/upload/image_resource.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;
using api::Json;

namespace {

constexpr std::string_view kUuid = "0f8fad5b-d9cb-469f-a165-70867728950e";

storage::ImageRecord image_of(std::string_view extension, const ImageFacts& facts = {}) {
    storage::ImageRecord image;
    image.uuid = storage::parse_uuid(kUuid).value();
    image.pool = 3;
    image.original =
        "uploads/original/2026/02/25/" + std::string(kUuid) + "." + std::string(extension);
    image.metadata = text_of(facts);
    return image;
}

std::vector<storage::KnownPool> pools_with(std::string base) {
    storage::KnownPool pool;
    pool.id = 3;
    pool.settings.public_base_url = std::move(base);
    return {pool};
}

// "original: medium original small; webp: ..." of a resource.
std::string shown(const Json& resource) {
    std::string text;
    for (const auto& family : resource["variants"].items()) {
        text += family.key() + ":";
        for (const auto& leaf : family.value().items())
            text += " " + leaf.key();
        text += "; ";
    }
    return text;
}

std::string families(std::string_view extension, const ImageFacts& facts = {}) {
    return shown(image_resource({}, {}, image_of(extension, facts), {}));
}

}  // namespace

TEST_CASE("image resource: each kind of original has its families", "[image_resource]") {
    CHECK(families("jpg") ==
          "original: original small medium; webp: original small medium; avif: original small "
          "medium; ");
    CHECK(families("gif") ==
          "original: original small medium; webp: small medium; avif: small medium; ");
    CHECK(families("webp") ==
          "original: original small medium; webp: original small medium; avif: original small "
          "medium; ");
    CHECK(families("avif") ==
          "original: original small medium; webp: small medium; avif: small medium; ");
    ImageFacts tiny;
    tiny.width = tiny.height = 64;
    CHECK(families("png", tiny) ==
          "original: original small medium; webp: original small medium; ");
    tiny.width = 65;
    CHECK(families("png", tiny).find("avif") != std::string::npos);
}

TEST_CASE("image resource: URLs are the pool's, the site's, or paths", "[image_resource]") {
    conf::Settings settings;
    const auto image = image_of("jpg");
    const std::string path = "/" + image.original;
    CHECK(image_resource(settings, pools_with(""), image, {})["url"] == path);
    settings.upload.public_base_url = "https://site.example";
    CHECK(image_resource(settings, pools_with(""), image, {})["url"] ==
          "https://site.example" + path);
    const Json resource = image_resource(settings, pools_with("https://b2.example"), image, {});
    CHECK(resource["url"] == "https://b2.example" + path);
    CHECK(resource["variants"]["webp"]["small"]["url"] ==
          "https://b2.example/uploads/variants/2026/02/25/" + std::string(kUuid) + "_small.webp");
    CHECK_FALSE(resource.contains("view_url"));
    settings.upload.view_url = "https://site.example/i/{uuid}";
    CHECK(image_resource(settings, {}, image, {})["view_url"] ==
          "https://site.example/i/" + std::string(kUuid));
}

TEST_CASE("image resource: what is known is shown", "[image_resource]") {
    ImageFacts facts;
    facts.width = 800;
    facts.height = 600;
    facts.frames = 3;
    facts.file_name = "Grüße.gif";
    facts.blurhash = "L00000";
    facts.app = {{"is_nsfw", true}};
    facts.exif = {{"model", "C"}};
    CHECK(read_facts(text_of(facts)) == facts);
    auto image = image_of("gif", facts);
    storage::ObjectRecord row = storage::object_record(image.original, 3);
    row.size = 1234;
    row.content_type = "image/gif";
    const Json resource = image_resource({}, {}, image, {&row, 1});
    const Json& original = resource["variants"]["original"]["original"];
    CHECK(original["width"] == 800);
    CHECK(original["height"] == 600);
    CHECK(original["animated"] == true);
    CHECK(original["bytes"] == 1234);
    CHECK(original["mime_type"] == "image/gif");
    const Json& small = resource["variants"]["webp"]["small"];
    CHECK_FALSE(small.contains("bytes"));
    CHECK(small["width"] == 200);
    CHECK(small["height"] == 150);
    CHECK(small["animated"] == true);
    CHECK(resource["variants"]["avif"]["small"]["animated"] == false);
    CHECK(resource["variants"]["avif"]["medium"]["height"] == 375);
    const Json unknown = image_resource({}, {}, image_of("gif"), {});
    CHECK_FALSE(unknown["variants"]["webp"]["small"].contains("width"));
    CHECK_FALSE(unknown["variants"]["webp"]["small"].contains("animated"));
    CHECK(resource["available_variants"] == Json({"original", "webp", "avif"}));
    CHECK(resource["file_name"] == "Grüße.gif");
    CHECK(resource["app"] == Json{{"is_nsfw", true}});
    CHECK(resource["blurhash"] == "L00000");
}

TEST_CASE("image resource: where it was taken is kept only where that is wanted",
          "[image_resource]") {
    transform::Inspection inspection;
    inspection.width = 30;
    inspection.height = 20;
    inspection.make.set("Maker");
    inspection.has_position = 1;
    inspection.latitude = 52.5;
    inspection.longitude = -13.25;
    const ImageFacts kept = facts_of(inspection, true);
    CHECK(kept.width == 30);
    CHECK(kept.exif == Json{{"make", "Maker"}, {"latitude", 52.5}, {"longitude", -13.25}});
    CHECK(facts_of(inspection, false).exif == Json{{"make", "Maker"}});
    inspection.has_position = 0;
    CHECK(facts_of(inspection, true).exif == Json{{"make", "Maker"}});
}

TEST_CASE("image resource: metadata of another form is nothing known", "[image_resource]") {
    for (const char* text : {"", "[]", "{", "null", R"({"width":-1,"height":"7","file_name":3})"})
        CHECK(read_facts(text) == ImageFacts{});
}
