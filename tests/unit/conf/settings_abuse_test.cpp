// [hotlink], [rate_limits], [[rate_limit]], the tags of [edge], and doubtful lifetimes.
#include "conf/lifetime_advice.h"
#include "conf/settings_reader.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;
using namespace std::chrono_literals;

namespace {

ReadSettings read(const std::string& toml) {
    return read_settings(toml + "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n",
                         "t.toml");
}

Settings good(const std::string& toml) {
    const ReadSettings result = read(toml);
    for (const Problem& problem : result.problems)
        FAIL_CHECK(problem.text());
    return result.settings;
}

// The first problem, without its place.
std::string problem(const std::string& toml) {
    CAPTURE(toml);
    const ReadSettings result = read(toml);
    REQUIRE_FALSE(result.problems.empty());
    return result.problems.front().key + ": " + result.problems.front().message;
}

std::vector<std::string> doubts(const std::string& rules) {
    std::vector<std::string> all;
    for (const Finding& finding : find_doubtful_lifetimes(good(rules)))
        all.push_back(finding.keys.front() + ": " + finding.message);
    return all;
}

}  // namespace

TEST_CASE("settings: hotlinks", "[conf][settings]") {
    CHECK(good("").hotlink.allowed_hosts.empty());
    CHECK(good("").hotlink.exceptions == default_hotlink_exceptions());
    const HotlinkSettings hotlink =
        good(
            "[hotlink]\nallowed_hosts = [\"a.example\", \"*.b.example\", \"[::1]\"]\n"
            "prefixes = [\"uploads/original/\"]\nallow_empty = false\nexceptions = []")
            .hotlink;
    CHECK(hotlink.allowed_hosts.size() == 3);
    CHECK(hotlink.exceptions.empty());
    CHECK_FALSE(hotlink.allow_empty);
    CHECK_THAT(problem("[hotlink]\nallowed_hosts = [\"https://a.example\"]"),
               Catch::StartsWith("hotlink.allowed_hosts[1]: ") && Catch::Contains("no scheme"));
    CHECK_THAT(problem("[hotlink]\nexceptions = [\"www.google.*\"]"),
               Catch::StartsWith("hotlink.exceptions[1]: "));
    CHECK_THAT(problem("[hotlink]\nprefixes = [\"/uploads/\"]"),
               Catch::StartsWith("hotlink.prefixes[1]: "));
}

TEST_CASE("settings: rate limits", "[conf][settings]") {
    CHECK(good("").rate_limit.empty());
    const Settings settings = good(
        "[rate_limits]\ntable = 5000\n[[rate_limit]]\nrequests = 600\n"
        "[[rate_limit]]\nprefix = \"uploads/\"\nrequests = 5\nper = \"1s\"\nburst = 50");
    CHECK(settings.rate_limits.table == 5000);
    CHECK(settings.rate_limit ==
          std::vector<RateLimitRule>{{"", 600, 1min, 0}, {"uploads/", 5, 1s, 50}});
    CHECK(problem("[[rate_limit]]\nper = \"1m\"") ==
          "rate_limit[1].requests: is missing: write requests = 600");
    CHECK_THAT(problem("[[rate_limit]]\nrequests = 0"),
               Catch::StartsWith("rate_limit[1].requests: "));
    CHECK_THAT(problem("[[rate_limit]]\nrequests = 1\nper = \"10ms\""),
               Catch::StartsWith("rate_limit[1].per: "));
    CHECK_THAT(problem("[rate_limits]\ntable = 10"), Catch::StartsWith("rate_limits.table: "));
    CHECK(problem("[[rate_limit]]\nrequests = 1\n[[rate_limit]]\nrequests = 2\nprefix = \"\"") ==
          "rate_limit[2].prefix: rule 1 is for the same keys: remove one of them");
    CHECK_THAT(problem("[[rate_limit]]\nrequests = 1\nper = \"1d\"\nburst = 31"),
               Catch::Contains("more than 30 days"));
    good("[[rate_limit]]\nrequests = 1\nper = \"1d\"\nburst = 30");
}

TEST_CASE("settings: tags", "[conf][settings]") {
    CHECK(good("").edge.cache_tags == std::vector<std::string>{"image"});
    CHECK(good("[edge]\ncache_tags = []").edge.cache_tags.empty());
    good("[edge]\ncache_tags = [\"image\", \"pool\", \"day\"]\ncache_tag_prefix = \"tp-\"");
    CHECK_THAT(problem("[edge]\ncache_tags = [\"user\"]"),
               Catch::StartsWith("edge.cache_tags[1]: expected \"image\""));
    for (const std::string prefix : {"a b", "a,b", "\\t", "\xc3\xa4"}) {
        CHECK_THAT(problem("[edge]\ncache_tag_prefix = \"" + prefix + "\""),
                   Catch::StartsWith("edge.cache_tag_prefix: expected at most 64"));
    }
    CHECK_THAT(problem("[edge]\ncache_tag_prefix = \"" + std::string(65, 'a') + "\""),
               Catch::StartsWith("edge.cache_tag_prefix: "));
}

TEST_CASE("lifetimes: the defaults are not doubtful", "[conf][lifetimes]") {
    CHECK(doubts("").empty());
    CHECK(doubts("[[cache_control]]\nstatus = [\"403\", \"429\"]\ncache_control = \"no-store\"")
              .empty());
}

TEST_CASE("lifetimes: what switches stale answers off", "[conf][lifetimes]") {
    const std::string start = "[[cache_control]]\nstatus = [\"200\"]\ncache_control = ";
    CHECK(doubts(start + "\"public, max-age=1, s-maxage=60, stale-while-revalidate=9\"") ==
          std::vector<std::string>{
              "cache_control[1].cache_control: stale-while-revalidate does nothing at the edge "
              "beside s-maxage: write both into cloudflare_cdn_cache_control, with max-age"});
    for (const char* other : {"must-revalidate", "proxy-revalidate", "no-cache", "no-store"}) {
        CHECK(doubts(start + "\"max-age=1\"\ncloudflare_cdn_cache_control = \"max-age=1, " + other +
                     ", stale-if-error=9\"") ==
              std::vector<std::string>{
                  std::string("cache_control[1].cloudflare_cdn_cache_control: stale-if-error does "
                              "nothing at the edge beside ") +
                  other});
    }
    CHECK(doubts(start + "\"s-maxage=1, stale-if-error=9, stale-while-revalidate=9\"").size() == 2);
    CHECK(doubts(start + "\"max-age=1, stale-if-error=9\"").empty());
    CHECK(doubts(start + "\"s-maxage=1\"").empty());
}

TEST_CASE("lifetimes: statuses that nobody may keep", "[conf][lifetimes]") {
    CHECK(doubts("[[cache_control]]\nstatus = [\"404\", \"403\", \"4xx\"]\n"
                 "cache_control = \"public, max-age=60\"") ==
          std::vector<std::string>{
              "cache_control[1].status: 403 is no-store whatever a rule says, as the next who "
              "asks may get another answer"});
    for (const int status :
         {401, 403, 405, 408, 409, 412, 413, 414, 416, 422, 429, 431, 500, 503, 599})
        CHECK(is_kept_by_nobody(status));
    for (const int status : {200, 206, 301, 302, 304, 400, 404, 410})
        CHECK_FALSE(is_kept_by_nobody(status));
}
