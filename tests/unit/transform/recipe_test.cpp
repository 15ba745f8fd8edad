#include "transform/recipe.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::transform;
using tidepool::conf::Settings;
using tidepool::conf::VariantProfile;

namespace {

using Extensions = std::vector<std::string>;

Extensions originals(const Settings& settings, std::string_view size, std::string_view extension) {
    const auto order = find_order(settings, size, extension);
    return order ? order->original_extensions : Extensions();
}

// "small.webp", ".avif": all that an original has.
Extensions all_of(const Settings& settings, std::string_view extension, bool at_upload = false) {
    Extensions names;
    for (const VariantName& name : variants_of(settings, extension, at_upload))
        names.push_back(name.size + "." + name.extension);
    return names;
}

}  // namespace

TEST_CASE("recipe: the defaults are the variants of the contract", "[transform][recipe]") {
    const Settings settings;
    const Extensions six{".webp",     ".avif",       "small.webp",  "small.avif",
                         "small.jpg", "medium.webp", "medium.avif", "medium.jpg"};
    CHECK(all_of(settings, "jpg") == six);
    CHECK(all_of(settings, "gif") == Extensions{"small.webp", "small.avif", "small.gif",
                                                "medium.webp", "medium.avif", "medium.gif"});
    CHECK(all_of(settings, "avif") ==
          Extensions{"small.webp", "small.avif", "medium.webp", "medium.avif"});
    CHECK(all_of(settings, "webp") ==
          Extensions{".webp", ".avif", "small.webp", "small.avif", "medium.webp", "medium.avif"});
    CHECK(all_of(settings, "txt").empty());

    const auto small = find_order(settings, "small", "webp");
    REQUIRE(small);
    CHECK(small->recipe.width == 200);
    CHECK(small->recipe.height == 0);
    CHECK(small->recipe.format == Format::webp);
    CHECK(small->profile == 1);
    CHECK(find_order(settings, "medium", "png")->recipe.width == 500);
    CHECK(find_order(settings, "", "avif")->recipe.width == 0);
}

TEST_CASE("recipe: the original's own format comes from originals of that name alone",
          "[transform][recipe]") {
    const Settings settings;
    CHECK(originals(settings, "small", "jpg") == Extensions{"jpg"});
    CHECK(originals(settings, "small", "jpeg") == Extensions{"jpeg"});
    CHECK(find_order(settings, "small", "jpeg")->recipe.format == Format::jpeg);
    CHECK(originals(settings, "small", "webp") ==
          Extensions{"jpg", "jpeg", "png", "webp", "gif", "avif", "bmp"});
    CHECK(originals(settings, "", "webp") == Extensions{"jpg", "jpeg", "png", "webp", "bmp"});
}

TEST_CASE("recipe: what is not configured does not exist", "[transform][recipe]") {
    Settings settings;
    for (const char* const size : {"large", "Small", "small ", "small_2", "200"})
        CHECK_FALSE(find_order(settings, size, "webp"));
    for (const char* const extension : {"", "jxl", "WEBP", "bmp", "svg", "webp2"})
        CHECK_FALSE(find_order(settings, "small", extension));
    CHECK_FALSE(find_order(settings, "", "jpg"));  // full size has no "original"
    settings.profiles.clear();
    CHECK_FALSE(find_order(settings, "small", "webp"));
}

TEST_CASE("recipe: a format named in the settings is made of every original",
          "[transform][recipe]") {
    Settings settings;
    settings.profiles = {VariantProfile{}};
    settings.profiles[0].name = "card";
    settings.profiles[0].formats = {"jpeg", "jxl"};
    settings.profiles[0].at_upload = {"jpeg"};
    settings.profiles[0].not_of = {"avif"};
    CHECK(originals(settings, "card", "jpg") ==
          Extensions{"jpg", "jpeg", "png", "webp", "gif", "bmp"});
    CHECK(originals(settings, "card", "jpeg").empty());
    CHECK(originals(settings, "card", "jxl").size() == 6);
    CHECK(all_of(settings, "png") == Extensions{"card.jpg", "card.jxl"});
    CHECK(all_of(settings, "png", true) == Extensions{"card.jpg"});
}

TEST_CASE("recipe: what the settings say of quality and limits is in it", "[transform][recipe]") {
    Settings settings;
    settings.variants.progressive_jpeg = false;
    settings.variants.avif_above = 100;
    settings.variants.pixels = 1234;
    VariantProfile& small = settings.profiles[1];
    small.avif_quality = 31;
    small.avif_effort = 2;
    small.jpeg_quality = 77;
    small.background = "#0a80ff";
    small.sharpen = 30;
    const Recipe avif = find_order(settings, "small", "avif")->recipe;
    CHECK(avif.quality == 31);
    CHECK(avif.effort == 2);
    CHECK(avif.made_above == 100);
    const Recipe jpeg = find_order(settings, "small", "jpg")->recipe;
    CHECK(jpeg.quality == 77);
    CHECK_FALSE(jpeg.progressive);
    CHECK(jpeg.made_above == 0);
    CHECK(jpeg.background == std::array<std::uint8_t, 3>{10, 128, 255});
    CHECK(jpeg.sharpen == 30);
    CHECK(jpeg.limits.pixels == 1234);
}
