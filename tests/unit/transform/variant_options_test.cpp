#include "transform/variant_options.h"

#include "transform/recipe.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::transform;
using tidepool::conf::Settings;
using Fit = tidepool::conf::VariantProfile::Fit;
using Gravity = tidepool::conf::VariantProfile::Gravity;

namespace {

std::expected<VariantOptions, std::string> parse(std::string_view path,
                                                 Format format = Format::webp) {
    std::vector<std::string_view> options;
    while (!path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        options.push_back(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return parse_variant_options(options, format);
}

// "" where it is refused.
std::string name_of_path(std::string_view path, Format format = Format::webp) {
    const auto options = parse(path, format);
    return options ? size_name_of(*options) : std::string();
}

}  // namespace

TEST_CASE("variant options: what they say", "[transform][variant_options]") {
    const auto all = parse("rs:fill:300:200/g:no/q:80/bg:00FF7f/sh:50", Format::jpeg);
    REQUIRE(all);
    CHECK(*all == VariantOptions{.width = 300,
                                 .height = 200,
                                 .fit = Fit::cover,
                                 .gravity = Gravity::north,
                                 .quality = 80,
                                 .background = "00ff7f",
                                 .sharpen = 50});
    CHECK(parse("w:16384") == VariantOptions{.width = 16384});
    CHECK(parse("q:1") == VariantOptions{.quality = 1});
    CHECK(parse("rs:force:1:2") == VariantOptions{.width = 1, .height = 2, .fit = Fit::exact});
    CHECK(parse("rs::7") == VariantOptions{.width = 7});
    CHECK(parse("rs:fit::7") == VariantOptions{.height = 7});
    CHECK(parse("rs:fill/w:3/h:4") == VariantOptions{.width = 3, .height = 4, .fit = Fit::cover});
}

TEST_CASE("variant options: one name for all spellings of the same",
          "[transform][variant_options]") {
    struct Case {
        const char* name;
        std::vector<const char*> paths;
    };
    const Case cases[] = {
        {"_rs_fill_300_200-g_no-q_80",
         {"rs:fill:300:200/g:no/q:80", "q:80/g:no/rs:fill:300:200",
          "resize:fill:300:200/gravity:no/quality:80", "rs:fill/w:300/height:200/g:no/q:80",
          "width:300/h:200/rs:fill/g:no/q:80", "rs:fill:300:200:0/g:no/q:80",
          "rs:fill:300:200:0:0/g:no/q:80", "rs:fill:300:200:false:f/g:no/q:80",
          "rs:fill:0300:200::/g:no/q:080",
          // WebP keeps transparency.
          "rs:fill:300:200/g:no/q:80/bg:000000", "rs:fill:300:200/g:no/q:80/sh:0"}},
        {"_rs_fit_200_0",
         {"w:200", "rs:fit:200", "rs:fit:200:0", "rs::200:", "w:200/h:0",
          // Nothing is cut off.
          "w:200/g:no"}},
        {"_rs_fill_20_30", {"rs:fill:20:30", "rs:fill:20:30/g:ce"}},
        {"_rs_fill_20_30-g_sm", {"g:sm/rs:fill:20:30"}},
        {"_rs_force_20_30", {"rs:force:20:30", "rs:force:20:30/g:sm"}},
        {"_q_55-sh_10", {"q:55/sh:10", "sharpen:10/q:55"}},
    };
    for (const Case& each : cases) {
        for (const char* const path : each.paths) {
            CAPTURE(path);
            CHECK(name_of_path(path) == each.name);
        }
    }
    CHECK(name_of_path("w:9/bg:FFFFFF", Format::jpeg) == "_rs_fit_9_0");
    CHECK(name_of_path("w:9/background:AB00ff", Format::jpeg) == "_rs_fit_9_0-bg_ab00ff");
    CHECK(name_of_path("w:9/q:80", Format::png) == "_rs_fit_9_0");
    CHECK(name_of_path("w:9/q:80", Format::gif) == "_rs_fit_9_0");
    CHECK(name_of_path("w:9/q:80", Format::avif) == "_rs_fit_9_0-q_80");
}

TEST_CASE("variant options: what is refused, and what is said of it",
          "[transform][variant_options]") {
    const std::pair<const char*, const char*> cases[] = {
        {"", "a size is missing, or the quality of a format that has one"},
        {"g:no", "a size is missing, or the quality of a format that has one"},
        {"sh:50/bg:000000", "a size is missing, or the quality of a format that has one"},
        {"rs:fit:0:0", "a size is missing, or the quality of a format that has one"},
        {"rs", "a size is missing, or the quality of a format that has one"},
        {"w:200/blur:3", "option 2 is unknown: blur"},
        {"el:1/w:200", "option 1 is unknown: el"},
        {"W:200", "option 1 is unknown"},
        {"w:200/", nullptr},
        {"\"}:200", "option 1 is unknown"},
        {"w:200//h:3", "option 2 is unknown"},
        {"a_name_that_is_too_long:1", "option 1 is unknown"},
        {"w:200/w:200", "w is given twice"},
        {"w:200/width:100", "w is given twice"},
        {"rs:fit:200/w:200", "w is given twice"},
        {"h:2/rs:fit:200:300", "h is given twice"},
        {"rs:fit/rs:fill", "rs is given twice"},
        {"q:1/quality:1", "q is given twice"},
        {"w:1/g:no/g:no", "g is given twice"},
        {"w:1/bg:000000/bg:000000", "bg is given twice"},
        {"w:1/sh:1/sh:1", "sh is given twice"},
        {"w:16385", "w: expected a whole number from 0 to 16384"},
        {"h:99999999999999999999", "h: expected a whole number from 0 to 16384"},
        {"w:-1", "w: expected a whole number from 0 to 16384"},
        {"w:+1", "w: expected a whole number from 0 to 16384"},
        {"w:1.5", "w: expected a whole number from 0 to 16384"},
        {"w: 1", "w: expected a whole number from 0 to 16384"},
        {"w:0x10", "w: expected a whole number from 0 to 16384"},
        {"w:", "w: expected a whole number from 0 to 16384"},
        {"w", "w: expected a whole number from 0 to 16384"},
        {"w:1:2", "w: expected a whole number from 0 to 16384"},
        {"rs:fit:x:2", "w: expected a whole number from 0 to 16384"},
        {"rs:fit:2:x", "h: expected a whole number from 0 to 16384"},
        {"q:0", "q: expected a whole number from 1 to 100"},
        {"q:101", "q: expected a whole number from 1 to 100"},
        {"w:1/sh:101", "sh: expected a whole number from 0 to 100"},
        {"rs:auto:1:1", "rs: expected fit, fill or force"},
        {"rs:cover:1:1", "rs: expected fit, fill or force"},
        {"rs:fill:1:1:1", "rs: images are never enlarged or extended"},
        {"rs:fill:1:1:0:1", "rs: images are never enlarged or extended"},
        {"rs:fill:1:1:0:0:0", "rs: images are never enlarged or extended"},
        {"rs:fill:1", "rs: fill and force need a width and a height"},
        {"rs:fill:1:0", "rs: fill and force need a width and a height"},
        {"rs:force/q:3", "rs: fill and force need a width and a height"},
        {"w:1/g:noea", "g: expected ce, no, ea, so, we or sm"},
        {"w:1/g", "g: expected ce, no, ea, so, we or sm"},
        {"w:1/g:ce:0:0", "g: expected ce, no, ea, so, we or sm"},
        {"w:1/bg:fff", "bg: expected six hex digits"},
        {"w:1/bg:#ffffff", "bg: expected six hex digits"},
        {"w:1/bg:00000g", "bg: expected six hex digits"},
        {"w:1/bg:255:255:255", "bg: expected six hex digits"},
    };
    for (const auto& [path, text] : cases) {
        CAPTURE(path);
        const auto options = parse(path);
        if (text == nullptr) {
            CHECK(options);
        } else {
            REQUIRE_FALSE(options);
            CHECK(options.error() == text);
        }
    }
    REQUIRE_FALSE(parse("q:80", Format::png));
    REQUIRE_FALSE(parse("q:80", Format::gif));
}

TEST_CASE("variant options: a name is read back as what it was written from",
          "[transform][variant_options]") {
    std::set<std::string> names;
    std::size_t count = 0;
    for (const Fit fit : {Fit::inside, Fit::cover, Fit::exact}) {
        for (const Gravity gravity : {Gravity::centre, Gravity::north, Gravity::east,
                                      Gravity::south, Gravity::west, Gravity::attention}) {
            if (fit != Fit::cover && gravity != Gravity::centre) continue;
            for (const std::uint32_t quality : {0U, 1U, 100U}) {
                for (const char* const background : {"ffffff", "000000"}) {
                    for (const std::uint32_t sharpen : {0U, 9U}) {
                        const VariantOptions options{16384,   1,          fit,    gravity,
                                                     quality, background, sharpen};
                        const std::string name = size_name_of(options);
                        CAPTURE(name);
                        CHECK(is_name_of_options(name));
                        CHECK(options_named(name, Format::jpeg) == options);
                        names.insert(name);
                        ++count;
                    }
                }
            }
        }
    }
    CHECK(names.size() == count);
}

TEST_CASE("variant options: another spelling is no name", "[transform][variant_options]") {
    for (const char* const name : {"",
                                   "_",
                                   "small",
                                   "rs_fit_1_0",
                                   "_w_1",
                                   "_rs_fit_1",
                                   "_rs_fit_01_0",
                                   "_rs_fit_1_0-",
                                   "_-rs_fit_1_0",
                                   "__rs_fit_1_0",
                                   "_q_80-rs_fit_1_0",
                                   "_rs_fit_1_0-g_no",
                                   "_rs_fill_1_1-g_ce",
                                   "_rs_fit_1_0-sh_0",
                                   "_rs_fit_1_0-bg_000000",
                                   "_rs_fit_1_0-q_101",
                                   "_rs_fit_1_0-blur_1",
                                   "_rs_fit_0_0-q_80",
                                   "_rs_fit_1_0_0",
                                   "_rs_fit_1_0-Q_80"}) {
        CAPTURE(name);
        CHECK_FALSE(options_named(name, Format::webp));
    }
    CHECK(options_named("_q_80", Format::webp));
    CHECK_FALSE(options_named("_rs_fit_1_0-q_80", Format::png));
    CHECK_FALSE(options_named("_rs_fit_1_0-bg_ffffff", Format::jpeg));
    CHECK_FALSE(options_named("_rs_fit_1_0-bg_00FF00", Format::jpeg));
}

TEST_CASE("variant options: the recipe that their name stands for",
          "[transform][variant_options]") {
    Settings settings;
    settings.variants.pixels = 77;
    const auto order = find_order(settings, "_rs_fill_300_200-g_sm-q_61-bg_010203-sh_40", "jpg");
    REQUIRE(order);
    CHECK_FALSE(order->profile);
    CHECK(order->recipe.width == 300);
    CHECK(order->recipe.height == 200);
    CHECK(order->recipe.fit == Fit::cover);
    CHECK(order->recipe.gravity == Gravity::attention);
    CHECK(order->recipe.format == Format::jpeg);
    CHECK(order->recipe.quality == 61);
    CHECK(order->recipe.background == std::array<std::uint8_t, 3>{1, 2, 3});
    CHECK(order->recipe.sharpen == 40);
    CHECK(order->recipe.limits.pixels == 77);
    CHECK(order->original_extensions ==
          std::vector<std::string>{"jpg", "jpeg", "png", "webp", "gif", "avif", "bmp"});

    for (const char* const extension : {"webp", "avif", "jxl"}) {
        CAPTURE(extension);
        const auto other = find_order(settings, "_q_61", extension);
        REQUIRE(other);
        CHECK(other->recipe.quality == 61);
        CHECK(other->recipe.width == 0);
    }
    // What is not said is as in a profile.
    CHECK(find_order(settings, "_rs_fit_9_0", "webp")->recipe.quality == 80);
    CHECK(find_order(settings, "_rs_fit_9_0", "png")->recipe.effort == 7);
    CHECK(find_order(settings, "_rs_fit_9_0", "gif")->original_extensions ==
          std::vector<std::string>{"gif"});
    CHECK_FALSE(find_order(settings, "_rs_fit_9_0", "jpeg"));
    CHECK_FALSE(find_order(settings, "_rs_fit_9_0", "svg"));
    CHECK_FALSE(find_order(settings, "_rs_fit_9_0", ""));
    CHECK(stand_ins_of(settings, {"_rs_fit_9_0", "webp"}, "png").empty());
}
