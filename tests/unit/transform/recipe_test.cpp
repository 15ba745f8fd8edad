#include "transform/recipe.h"

#include "transform/dear.h"

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

namespace {

// "small.gif": what may be made at once in place of this variant.
Extensions quick_ones(const Settings& settings, const VariantName& wanted,
                      std::string_view extension, bool may_move = false) {
    Extensions names;
    for (const StandIn& each : stand_ins_of(settings, wanted, extension, may_move)) {
        if (each.is_quick) names.push_back(each.name.size + "." + each.name.extension);
    }
    return names;
}

}  // namespace

TEST_CASE("recipe: what is quick stands in for what is dear", "[transform][recipe]") {
    const Settings settings;
    CHECK(quick_ones(settings, {"small", "avif"}, "jpg") == Extensions{"small.webp", "small.jpg"});
    CHECK(quick_ones(settings, {"small", "webp"}, "jpg").empty());
    // A still one for what moves.
    CHECK(quick_ones(settings, {"small", "webp"}, "gif") == Extensions{"small.gif"});
    CHECK(quick_ones(settings, {"small", "avif"}, "gif") == Extensions{"small.gif"});
    CHECK(quick_ones(settings, {"small", "gif"}, "gif").empty());
    // Of an original that is slow to decode nothing is quick.
    CHECK(quick_ones(settings, {"small", "avif"}, "avif").empty());
}

TEST_CASE("recipe: a WebP is an animation where its beginning says so", "[transform][recipe]") {
    Settings settings;
    settings.profiles = {VariantProfile{}};
    settings.profiles[0].name = "small";
    settings.profiles[0].formats = {"webp", "jpeg"};
    CHECK(quick_ones(settings, {"small", "webp"}, "webp").empty());
    CHECK(quick_ones(settings, {"small", "webp"}, "webp", true) == Extensions{"small.jpg"});

    std::string beginning("RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0", 24);
    CHECK(may_be_animation(beginning));
    beginning[20] = '\x10';  // alpha
    CHECK_FALSE(may_be_animation(beginning));
    CHECK(may_be_animation(std::string_view("GIF89a")));
}

TEST_CASE("recipe: the full size of a large original is dear", "[transform][recipe]") {
    constexpr std::uint64_t kLarge = (8ULL << 20) + 1;
    constexpr std::uint64_t kManyPixels = 24'000'001;
    const std::string jpeg("\xFF\xD8\xFF\xE0", 4);
    for (const SourceHead& large :
         {SourceHead{jpeg, kLarge, 1}, SourceHead{jpeg, 1, kManyPixels}}) {
        Recipe recipe;
        CHECK(is_dear(large, recipe));
        recipe.width = 4096;
        CHECK_FALSE(is_dear(large, recipe));
        recipe.height = 4097;
        CHECK(is_dear(large, recipe));
        CHECK_FALSE(is_dear(large, InspectDepth::pixels));
    }
    CHECK_FALSE(is_dear(SourceHead{jpeg, kLarge - 1, kManyPixels - 1}, Recipe()));
}

TEST_CASE("recipe: of a huge original everything is dear but its structure",
          "[transform][recipe]") {
    constexpr std::uint64_t kHuge = 52'000'001;
    Recipe recipe;
    recipe.width = 100;
    SourceHead source{std::string("\x89PNG\r\n\x1A\n"), 1000, kHuge};
    CHECK(is_dear(source, recipe));
    CHECK(is_dear(source, InspectDepth::pixels));
    CHECK_FALSE(is_dear(source, InspectDepth::structure));
    source.pixels = kHuge - 1;
    CHECK_FALSE(is_dear(source, recipe));
    CHECK_FALSE(is_dear(source, InspectDepth::pixels));
}

TEST_CASE("recipe: names tell what is likely dear", "[transform][recipe]") {
    for (const Format format : {Format::avif, Format::jxl})
        CHECK(is_likely_dear(format, ""));
    for (const Format format : {Format::webp, Format::jpeg, Format::png, Format::gif}) {
        CHECK_FALSE(is_likely_dear(format, ""));
        CHECK_FALSE(is_likely_dear(format, "jpg"));
        CHECK(is_likely_dear(format, "avif"));
        CHECK(is_likely_dear(format, "heic"));
        CHECK(is_likely_dear(format, "gif") == keeps_frames(format));
    }
}
