#include "conf/settings_reader.h"

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

std::vector<std::string> wrong_keys(const std::string& toml, const std::string& of_pool = "") {
    const ReadSettings read = read_settings(
        "[purge]\n" + toml + "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv\"\n" + of_pool,
        "t.toml");
    std::vector<std::string> keys;
    for (const Problem& problem : read.problems)
        keys.push_back(problem.key +
                       (problem.message.starts_with("needs ")
                            ? " " + problem.message.substr(0, problem.message.find(','))
                            : ""));
    return keys;
}

const std::string kZone = "zone_id = \"0123456789abcdef0123456789abcdef\"\n";
const std::string kToken = "api_token = \"env:TIDEPOOL_TEST_PURGE_TOKEN\"\n";
const std::string kHosts = "hosts = [\"https://images.example\"]\n";

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("settings of purges: a zone needs a token, and hosts where URLs are purged",
          "[conf][settings]") {
    REQUIRE(setenv("TIDEPOOL_TEST_PURGE_TOKEN", "token", 1) == 0);
    CHECK(wrong_keys("").empty());
    CHECK(wrong_keys(kZone + kToken + kHosts).empty());
    CHECK(wrong_keys(kZone + kHosts) == Keys{"purge.zone_id needs api_token"});
    CHECK(wrong_keys(kZone + kToken) == Keys{"purge.zone_id needs hosts"});
    CHECK(wrong_keys(kZone + kToken + "by = \"tags\"\n").empty());
    CHECK(wrong_keys(kZone + kToken, "[edge]\nhosts = [\"images.example\"]\n").empty());
    CHECK(wrong_keys(kZone + kToken, "[edge]\nhosts = [\"*.example\", \"192.0.2.1\"]\n") ==
          Keys{"purge.zone_id needs hosts"});
    CHECK(wrong_keys(kZone + kToken, "public_base_url = \"https://images.example\"\n").empty());
    REQUIRE(setenv("TIDEPOOL_TEST_PURGE_TOKEN", "to ken", 1) == 0);
    CHECK(wrong_keys(kZone + kToken + kHosts) == Keys{"purge.api_token"});
    unsetenv("TIDEPOOL_TEST_PURGE_TOKEN");
}

TEST_CASE("settings of purges: by a tag only where answers have it", "[conf][settings]") {
    REQUIRE(setenv("TIDEPOOL_TEST_PURGE_TOKEN", "token", 1) == 0);
    const std::string good = kZone + kToken + kHosts;
    const std::string untagged = "[edge]\ncache_tags = [\"pool\"]\n";
    for (const char* by : {"auto", "urls", "both", "tags"}) {
        CAPTURE(by);
        const std::string text = good + "by = \"" + by + "\"\n";
        CHECK(wrong_keys(text).empty());
        const bool needs_tag = std::string_view(by) == "both" || std::string_view(by) == "tags";
        CHECK(wrong_keys(text, untagged) == (needs_tag ? Keys{"purge.by"} : Keys{}));
    }
    CHECK(wrong_keys(good, untagged).empty());
    unsetenv("TIDEPOOL_TEST_PURGE_TOKEN");
}

TEST_CASE("settings of purges: what no call could name is refused", "[conf][settings]") {
    REQUIRE(setenv("TIDEPOOL_TEST_PURGE_TOKEN", "token", 1) == 0);
    const std::string good = kZone + kToken;
    for (const std::string zone : {"0123", "0123456789ABCDEF0123456789abcdef", "a zone"}) {
        CAPTURE(zone);
        CHECK(wrong_keys("zone_id = \"" + zone + "\"").at(0) == "purge.zone_id");
    }
    CHECK(wrong_keys(good + kHosts + "origins = [\"*\"]") == Keys{"purge.origins"});
    CHECK(wrong_keys(good + "hosts = [\"\"]") == Keys{"purge.hosts"});
    CHECK(wrong_keys(good + "hosts = [\"https://images.example/\"]") == Keys{"purge.hosts[1]"});
    CHECK(wrong_keys("by = \"hosts\"") == Keys{"purge.by"});
    CHECK(wrong_keys("urls_per_call = 501") == Keys{"purge.urls_per_call"});
    unsetenv("TIDEPOOL_TEST_PURGE_TOKEN");
}
