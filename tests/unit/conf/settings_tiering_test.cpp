#include "conf/settings_reader.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

std::vector<std::string> problems(const std::string& toml, const std::string& more = "") {
    const ReadSettings read = read_settings(
        "[tiering]\n" + toml + "\n" + more + "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv\"\n",
        "t.toml");
    std::vector<std::string> all;
    for (const Problem& problem : read.problems)
        all.push_back(problem.key + ": " + problem.message);
    return all;
}

}  // namespace

TEST_CASE("settings of tiering: a low watermark lies below its high one", "[conf][settings]") {
    CHECK(problems("hot_watermark_high = 80\nhot_watermark_low = 79").empty());
    for (const char* tier : {"hot", "warm"}) {
        const std::string name(tier);
        const auto found = problems(name + "_watermark_high = 80\n" + name + "_watermark_low = 80");
        REQUIRE(found.size() == 1);
        CHECK_THAT(found[0],
                   Catch::StartsWith("tiering." + name + "_watermark_low: ") &&
                       Catch::Contains("(80) is not below tiering." + name + "_watermark_high"));
    }
}

TEST_CASE("settings of tiering: the window is a time of the day", "[conf][settings]") {
    CHECK(problems("window = \"22:00-06:00\"").empty());
    CHECK(problems("window = \"\"").empty());
    const auto found = problems("window = \"22-6\"");
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0], Catch::Contains("expected a time of the day"));
}

TEST_CASE("settings of tiering: it needs a catalog and views", "[conf][settings]") {
    CHECK(problems("enabled = true").empty());
    CHECK(problems("views_flush = \"0s\"").empty());
    CHECK(problems("enabled = true\nviews_flush = \"0s\"").size() == 1);
    CHECK(problems("enabled = true", "[catalog]\nurl = \"\"").size() == 1);
    CHECK(problems("enabled = false", "[catalog]\nurl = \"\"").empty());
}

TEST_CASE("settings of tiering: numbers have the contract's ranges", "[conf][settings]") {
    for (const char* wrong :
         {"hot_keep_days_after_upload = 3651", "demote_if_no_views_days = 0",
          "min_dwell_days_per_tier = 3651", "max_candidates_per_sweep = 0",
          "max_candidates_per_sweep = 100001", "sweep_interval = \"0s\"", "cohort_percent = 101",
          "promote_window = \"0s\"", "hot_watermark_high = 101", "cohort_file = \"list\""}) {
        CAPTURE(wrong);
        CHECK(problems(wrong).size() == 1);
    }
}
