// What can be wrong with [[profile]].
#include "conf/settings_reader.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

const std::string kPool = "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n";

std::vector<std::string> texts(const std::string& toml) {
    std::vector<std::string> all;
    for (const Problem& problem : read_settings(toml + kPool, "t.toml").problems)
        all.push_back(problem.text());
    return all;
}

void check_one(const std::string& toml, const std::string& problem) {
    CAPTURE(toml);
    CHECK(texts("[[profile]]\n" + toml) == std::vector<std::string>{"t.toml:" + problem});
}

}  // namespace

TEST_CASE("settings: profiles of the file take the place of the defaults", "[conf][settings]") {
    const auto read = read_settings("[[profile]]\nname = \"card\"\nwidth = 640\n" + kPool, "t");
    CHECK(read.problems.empty());
    REQUIRE(read.settings.profiles.size() == 1);
    CHECK(read.settings.profiles[0].name == "card");
    CHECK(read.settings.profiles[0].width == 640);
    CHECK(read_settings(kPool, "t").settings.profiles == default_profiles());
}

TEST_CASE("settings: what is wrong with a profile is named", "[conf][settings]") {
    check_one("width = 1", "1:1: profile[1].name: is missing: write name = \"small\"");
    check_one("name = \"Big_One\"",
              "2:8: profile[1].name: expected up to 32 characters of a-z, 0-9 and \"-\", not "
              "\"Big_One\"");
    check_one("name = \"a\"\nwidth = 20000",
              "3:9: profile[1].width: expected a whole number from 0 to 16384, not 20000");
    check_one("name = \"a\"\nformats = [\"webp\", \"tiff\"]\nat_upload = []",
              "3:20: profile[1].formats[2]: expected \"webp\", \"avif\", \"original\", \"jpeg\", "
              "\"png\", \"gif\" or \"jxl\", not \"tiff\"");
    check_one("name = \"a\"\nbackground = \"white\"",
              "3:14: profile[1].background: expected a colour such as \"#ffffff\", not \"white\"");
    check_one("name = \"a\"\nnot_of = [\"original\"]",
              "3:11: profile[1].not_of[1]: expected \"jpeg\", \"png\", \"gif\", \"webp\" or "
              "\"avif\", not \"original\"");
}

TEST_CASE("settings: contradictions in profiles are named", "[conf][settings]") {
    check_one(
        "name = \"a\"\nformats = [\"webp\"]\nat_upload = [\"avif\"]",
        "4:13: profile[1].at_upload: \"avif\" is not one of its formats, so it cannot be made "
        "at upload");
    check_one("name = \"a\"\nwidth = 10\nfit = \"cover\"",
              "4:7: profile[1].fit: needs both width and height: add them, or write fit = "
              "\"inside\"");
    check_one("name = \"a\"\n[[profile]]\nname = \"a\"",
              "4:8: profile[2].name: profile 1 is called \"a\" too: names are unique");
    check_one("name = \"\"",
              "2:8: profile[1].name: the original's size in the original's format is the "
              "original: remove \"original\", or give the profile a size");
}
