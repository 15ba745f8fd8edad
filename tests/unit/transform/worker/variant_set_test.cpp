// Several variants of one source: the same bytes as alone, from fewer decodes.
#include "tests/unit/transform/gallery.h"

#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

constexpr Format kAll[] = {Format::webp, Format::avif, Format::jpeg,
                           Format::png,  Format::gif,  Format::jxl};

// Every pixel differs from its neighbours, so that no two ways of filtering look the same.
Picture waves(int width, int height, int bands = 3) {
    REQUIRE(prepare_to_make());
    VipsImage* zone = nullptr;
    REQUIRE(vips_sines(&zone, width, height, "uchar", TRUE, "hfreq", 37.0, "vfreq", 11.3,
                       nullptr) == 0);
    VipsImage* noise = nullptr;
    REQUIRE(vips_gaussnoise(&noise, width, height, "mean", 128.0, "sigma", 40.0, "seed", 7,
                            nullptr) == 0);
    VipsImage* grain = nullptr;
    REQUIRE(vips_cast_uchar(noise, &grain, nullptr) == 0);
    VipsImage* parts[] = {zone, grain, zone, grain};
    VipsImage* joined = nullptr;
    REQUIRE(vips_bandjoin(parts, &joined, bands, nullptr) == 0);
    VipsImage* typed = nullptr;
    REQUIRE(vips_copy(joined, &typed, "interpretation",
                      bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                      nullptr) == 0);
    Picture picture(vips_image_copy_memory(typed));
    for (VipsImage* const image : {zone, noise, grain, joined, typed})
        g_object_unref(image);
    return picture;
}

struct Case {
    const char* name;
    std::string source;
};

std::vector<Case> sources() {
    std::vector<Case> all;
    Picture photo = waves(803, 601);
    all.push_back({"jpeg", photo.saved(".jpg[Q=90]")});
    all.push_back({"png", photo.saved(".png")});
    all.push_back({"webp", photo.saved(".webp[Q=90]")});
    all.push_back({"avif", waves(160, 120).saved(".avif[effort=0]")});
    all.push_back({"grey", waves(400, 301, 1).saved(".jpg")});
    all.push_back({"alpha", waves(401, 300, 4).saved(".png")});
    all.push_back({"alpha webp", waves(401, 300, 4).saved(".webp")});
    all.push_back({"sixteen bits", photo.in_space(VIPS_INTERPRETATION_RGB16).saved(".png")});
    all.push_back({"wide gamut", photo.in_profile("p3").saved(".jpg")});
    all.push_back({"palette", with_corners(200, 150).saved(".png[palette]")});
    for (const int orientation : {3, 6, 7}) {
        photo.set("orientation", orientation);
        all.push_back({"turned", photo.saved(".jpg")});
    }
    Picture column = waves(120, 400);
    column.set("page-height", 100);
    all.push_back({"gif animation", column.saved(".gif")});
    all.push_back({"webp animation", column.saved(".webp")});
    return all;
}

// As profiles have them: sizes in all formats, a cover, a sharpened one, and the full size.
std::vector<Recipe> recipes() {
    std::vector<Recipe> all;
    for (const unsigned width : {100U, 37U, 333U, 100U}) {
        for (const Format format : kAll)
            all.push_back(recipe(format, width, 200));
    }
    for (const Format format : {Format::webp, Format::jpeg}) {
        all.push_back(recipe(format));
        all.push_back(recipe(format, 90, 60));
        all.back().fit = conf::VariantProfile::Fit::cover;
        all.back().gravity = conf::VariantProfile::Gravity::attention;
        all.back().sharpen = 40;
    }
    return all;
}

Recipe webp(unsigned width) {
    return recipe(Format::webp, width);
}

unsigned decodes_of(const std::string& source, const std::vector<Recipe>& wanted) {
    VariantSet set(source, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        CAPTURE(i);
        CHECK(set.make(i));
    }
    return set.decodes();
}

}  // namespace

TEST_CASE("variant set: each is, byte for byte, what is made alone", "[transform][variant_set]") {
    const std::vector<Recipe> wanted = recipes();
    for (const auto& [name, source] : sources()) {
        VariantSet set(source, wanted);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            CAPTURE(name, i, name_of(wanted[i].format), wanted[i].width);
            const auto made = set.make(i);
            REQUIRE(made);
            const Made alone = make_or_fail(source, wanted[i]);
            CHECK(made_text(*made) == made_text(alone));
            CHECK(made->width == alone.width);
            CHECK(made->height == alone.height);
            CHECK(made->frames == alone.frames);
        }
        CHECK(set.decodes() < wanted.size() / 2);
    }
}

TEST_CASE("variant set: what is decoded alike is decoded once", "[transform][variant_set]") {
    const std::string png = waves(600, 400).saved(".png");
    CHECK(decodes_of(png, {webp(100)}) == 1);
    CHECK(decodes_of(png, {webp(100), recipe(Format::jpeg, 100), webp(200), recipe(Format::png),
                           recipe(Format::avif, 100)}) == 1);
    // A JPEG is shrunk by 2, 4 or 8 as it is decoded: 5 and 4.5 times smaller are one decode.
    const std::string jpeg = waves(1600, 1200).saved(".jpg");
    CHECK(decodes_of(jpeg, {webp(320), recipe(Format::jpeg, 355), webp(320)}) == 1);
    CHECK(decodes_of(jpeg, {webp(90), webp(320), recipe(Format::jpeg, 80), webp(1600),
                            recipe(Format::jpeg)}) == 3);
    // The first frame and all of them.
    Picture column = waves(60, 120);
    column.set("page-height", 40);
    CHECK(decodes_of(column.saved(".gif"),
                     {webp(30), recipe(Format::jpeg, 30), webp(20), recipe(Format::png, 20)}) == 2);
}

TEST_CASE("variant set: one that cannot be made is in nobody's way", "[transform][variant_set]") {
    const std::string source = waves(300, 200).saved(".png");
    std::vector<Recipe> wanted{webp(100), webp(100), webp(100), recipe(Format::jpeg, 100),
                               webp(150), webp(100)};
    wanted[0].limits.result_bytes = 10;
    wanted[1].made_above = 300;
    wanted[2].limits.pixels = 100;
    wanted[4].limits.source_bytes = 10;
    VariantSet set(source, wanted);
    CHECK(set.make(0).error().kind == ErrorKind::too_large);
    CHECK(set.make(1).error().kind == ErrorKind::not_found);
    CHECK(set.make(2).error().kind == ErrorKind::too_large);
    const auto jpeg = set.make(3);
    REQUIRE(jpeg);
    CHECK(made_text(*jpeg) == made_text(make_or_fail(source, wanted[3])));
    CHECK(set.make(4).error().kind == ErrorKind::too_large);
    const auto last = set.make(5);
    REQUIRE(last);
    CHECK(made_text(*last) == made_text(make_or_fail(source, wanted[5])));
    CHECK(set.decodes() == 1);
}

TEST_CASE("variant set: a broken source is decoded once for all that need the same of it",
          "[transform][variant_set]") {
    const std::string whole = waves(400, 300).saved(".png");
    const std::string half = whole.substr(0, whole.size() / 2);
    const std::vector<Recipe> wanted{webp(100), recipe(Format::jpeg, 100), webp(50), webp(60)};
    VariantSet set(half, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto made = set.make(i);
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::corrupt);
        CHECK_FALSE(made.error().text.empty());
    }
    CHECK(set.decodes() == 1);
    const std::vector<Recipe> two{webp(10), webp(20)};
    VariantSet none("no image", two);
    CHECK(none.make(0).error().kind == ErrorKind::corrupt);
    CHECK(none.make(1).error().kind == ErrorKind::corrupt);
    CHECK(none.decodes() == 0);
}
