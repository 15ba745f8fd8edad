#include "proxy/api/setting_overrides.h"

#include "conf/settings_check.h"

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;
using namespace std::chrono_literals;

namespace {

using Names = std::vector<std::string>;

// A file that is right.
conf::Settings good_file() {
    conf::Settings file;
    conf::PoolSettings pool;
    pool.name = "hot";
    pool.base_path = "/srv/uploads";
    file.pools = {pool};
    REQUIRE(conf::find_wrong_settings(file).empty());
    return file;
}

Overrides overrides(std::initializer_list<std::pair<const char*, const char*>> values) {
    Overrides made;
    for (const auto& [name, json] : values)
        made.emplace(name, Json::parse(json, nullptr, false));
    return made;
}

// What is left out: names, and the message of each.
std::map<std::string, std::string> left_out(const OverriddenSettings& made) {
    std::map<std::string, std::string> all;
    for (const RefusedOverride& each : made.refused) {
        for (const std::string& key : each.why.keys)
            all.emplace(key, each.why.message);
    }
    return all;
}

PatchedOverrides patched(const char* patch, const Overrides& known = {},
                         const conf::Settings& file = good_file()) {
    return patch_overrides(file, known, Json::parse(patch));
}

Names fields(const PatchedOverrides& made) {
    Names names;
    for (const FieldProblem& problem : made.problems)
        names.push_back(problem.field);
    return names;
}

bool holds(const std::string& text, const std::string& part) {
    INFO(text);
    return text.find(part) != text.npos;
}

}  // namespace

TEST_CASE("overrides: they take the place of the file's values, of every kind", "[api][settings]") {
    const auto made =
        override_settings(good_file(), overrides({{"limits.headers", "\"64KiB\""},
                                                  {"limits.ranges", "7"},
                                                  {"tiering.window", "\"01:00-05:00\""},
                                                  {"timeouts.idle", "\"2s\""},
                                                  {"tiering.cohort_percent", "9"}}));
    CHECK(made.settings.limits.header_bytes == 65536);
    CHECK(made.settings.limits.ranges == 7);
    CHECK(made.settings.tiering.window == "01:00-05:00");
    CHECK(made.settings.timeouts.idle == 2s);
    CHECK(made.names == Names{"limits.headers", "limits.ranges", "tiering.cohort_percent",
                              "tiering.window", "timeouts.idle"});
    CHECK(made.refused.empty());
    conf::Settings rest = made.settings;
    rest.limits = {};
    rest.timeouts = {};
    rest.tiering = {};
    CHECK(rest == good_file());
}

TEST_CASE("overrides: what cannot be is left out by itself, and the file's value holds",
          "[api][settings]") {
    const auto made = override_settings(good_file(), overrides({{"limits.ranges", "7"},
                                                                {"limits.range", "7"},
                                                                {"limits.header_fields", "\"8\""},
                                                                {"limits.connections", "0"},
                                                                {"limits.headers", "\"9GiB\""},
                                                                {"timeouts.idle", "{\"a\": 1}"},
                                                                {"timeouts.linger", "{"},
                                                                {"timeouts.header", "null"},
                                                                {"server.threads", "3"},
                                                                {"tierin.enabled", "true"},
                                                                {"limits", "1"},
                                                                {"", "1"}}));
    CHECK(made.names == Names{"limits.ranges"});
    conf::Settings expected = good_file();
    expected.limits.ranges = 7;
    CHECK(made.settings == expected);
    const auto why = left_out(made);
    CHECK(why.size() == 11);
    CHECK(holds(why.at("limits.range"), "did you mean \"ranges\"?"));
    CHECK(holds(why.at("limits.header_fields"), "expected a whole number from 8 to 10000"));
    CHECK(holds(why.at("limits.connections"), "from 1 to 1000000, not 0"));
    CHECK(holds(why.at("limits.headers"), "from 1KiB to 1MiB, not 9GiB"));
    CHECK(holds(why.at("timeouts.idle"), "not a table"));
    CHECK(holds(why.at("timeouts.linger"), "no JSON"));
    CHECK(holds(why.at("server.threads"), "configuration file alone"));
    CHECK(holds(why.at("tierin.enabled"), "did you mean \"tiering\"?"));
}

TEST_CASE("overrides: those that contradict the file are left out, the others stay",
          "[api][settings]") {
    conf::Settings file = good_file();
    file.tiering.hot_watermark_low = 60;
    file.tiering.hot_watermark_high = 70;
    // 60 and 75 went together once.
    auto made = override_settings(file, overrides({{"tiering.hot_watermark_low", "75"},
                                                   {"tiering.hot_keep_days_after_upload", "3"}}));
    CHECK(made.names == Names{"tiering.hot_keep_days_after_upload"});
    CHECK(made.settings.tiering.hot_watermark_low == 60);
    CHECK(left_out(made).contains("tiering.hot_watermark_low"));
    made = override_settings(file, overrides({{"tiering.hot_watermark_low", "75"},
                                              {"tiering.hot_watermark_high", "80"}}));
    CHECK(made.refused.empty());
    CHECK(made.settings.tiering.hot_watermark_low == 75);
}

TEST_CASE("overrides: what is left is right, also where one was right only with another",
          "[api][settings]") {
    // 95 is no number any more, so the file's 85 holds, with which 90 cannot be.
    const auto made =
        override_settings(good_file(), overrides({{"tiering.hot_watermark_high", "\"95\""},
                                                  {"tiering.hot_watermark_low", "90"},
                                                  {"timeouts.idle", "\"2h\""},
                                                  {"timeouts.idle_edge", "\"20s\""}}));
    CHECK(conf::find_wrong_settings(made.settings).empty());
    CHECK(made.names.empty());
    CHECK(left_out(made).size() == 4);
    CHECK(made.settings == good_file());
}

TEST_CASE("overrides: tiering needs a catalog and views", "[api][settings]") {
    conf::Settings file = good_file();
    CHECK(override_settings(file, overrides({{"tiering.enabled", "true"}})).refused.empty());
    file.tiering.views_flush = 0ms;
    CHECK(left_out(override_settings(file, overrides({{"tiering.enabled", "true"}})))
              .contains("tiering.enabled"));
    file = good_file();
    file.catalog.url.clear();
    const auto made = override_settings(file, overrides({{"tiering.enabled", "true"}}));
    CHECK(left_out(made).contains("tiering.enabled"));
    CHECK_FALSE(made.settings.tiering.enabled);
}

TEST_CASE("overrides: a patch is merged into what was changed before", "[api][settings]") {
    const Overrides known = overrides(
        {{"limits.ranges", "7"}, {"tiering.enabled", "true"}, {"timeouts.idle", "\"2s\""}});
    const auto made = patched(
        R"({"limits": {"ranges": 8, "headers": "64KiB"}, "tiering": {"enabled": true},
            "timeouts": {"idle": null, "header": null}})",
        known);
    CHECK(made.problems.empty());
    CHECK(made.all == overrides({{"limits.headers", "\"64KiB\""},
                                 {"limits.ranges", "8"},
                                 {"tiering.enabled", "true"}}));
    CHECK(made.changes == std::vector<storage::SettingChange>{{"limits.headers", "\"64KiB\""},
                                                              {"limits.ranges", "8"},
                                                              {"timeouts.idle", {}}});
}

TEST_CASE("overrides: null for a section takes all of it back, and nothing changes nothing",
          "[api][settings]") {
    const Overrides known = overrides(
        {{"limits.headers", "\"64KiB\""}, {"limits.ranges", "7"}, {"tiering.enabled", "true"}});
    auto made = patched(R"({"limits": null, "timeouts": null})", known);
    CHECK(made.problems.empty());
    CHECK(made.changes ==
          std::vector<storage::SettingChange>{{"limits.headers", {}}, {"limits.ranges", {}}});
    for (const char* const nothing :
         {"{}", R"({"limits": {}})", R"({"timeouts": null})", R"({"limits": {"ranges": 7}})"}) {
        INFO(nothing);
        made = patched(nothing, known);
        CHECK(made.problems.empty());
        CHECK(made.changes.empty());
        CHECK(made.all == known);
    }
}

TEST_CASE("overrides: each mistake of a patch is told by its name", "[api][settings]") {
    for (const auto& [patch, field, message] : std::vector<std::array<const char*, 3>>{
             {R"({"limit": {}})", "limit", "did you mean \"limits\"?"},
             {R"({"limit": null})", "limit", "did you mean \"limits\"?"},
             {R"({"ranges": 7})", "ranges", "it belongs to [limits]"},
             {R"({"server": {"threads": 3}})", "server", "configuration file alone"},
             {R"({"server": null})", "server", "there are limits, timeouts, tiering"},
             {R"({"limits": 7})", "limits", "expected a table [limits], not 7"},
             {R"({"limits": [7]})", "limits", "not a list"},
             {R"({"limits": {"range": 7}})", "limits.range", "did you mean \"ranges\"?"},
             {R"({"limits": {"range": null}})", "limits.range", "did you mean \"ranges\"?"},
             {R"({"limits": {"idle": "2s"}})", "limits.idle", "it belongs to [timeouts]"},
             {R"({"limits": {"": 7}})", "limits.", "unknown key"},
             {R"({"limits": {"ranges": 0}})", "limits.ranges", "from 1 to 300, not 0"},
             {R"({"limits": {"ranges": 7.5}})", "limits.ranges", "not 7.5"},
             {R"({"limits": {"ranges": "7"}})", "limits.ranges", "a whole number"},
             {R"({"limits": {"ranges": {"a": 1}}})", "limits.ranges", "not a table"},
             {R"({"limits": {"headers": 65536}})", "limits.headers", "write \"64KiB\""},
             {R"({"limits": {"headers": "2097152"}})", "limits.headers", "not 2MiB"},
             {R"({"timeouts": {"idle": 2}})", "timeouts.idle", "write \"2s\""},
             {R"({"timeouts": {"idle": "2 s"}})", "timeouts.idle", ""},
             {R"({"tiering": {"enabled": 1}})", "tiering.enabled", "expected true or false, not 1"},
             {R"({"tiering": {"window": "noon"}})", "tiering.window", ""},
             {R"({"tiering": {"hot_watermark_low": 90}})", "tiering.hot_watermark_low",
              "is not below tiering.hot_watermark_high (85)"},
             {R"({"timeouts": {"idle_edge": "1s"}})", "timeouts.idle_edge", "is longer than"}}) {
        INFO(patch);
        const auto made = patched(patch);
        REQUIRE(fields(made) == Names{field});
        CHECK(holds(made.problems[0].message, message));
    }
}

TEST_CASE("overrides: all mistakes of a patch are told at once, and none that follows from another",
          "[api][settings]") {
    const auto made = patched(
        R"({"limits": {"ranges": 0, "none": 1}, "cache": {}, "tiering": {"hot_watermark_low": 99,
            "warm_watermark_low": "x", "warm_watermark_high": 5}, "timeouts": {"idle": "1ms",
            "idle_edge": "10s"}})");
    CHECK(fields(made) == Names{"cache", "limits.none", "limits.ranges",
                                "tiering.hot_watermark_low", "tiering.warm_watermark_low",
                                "timeouts.idle"});
}

TEST_CASE("overrides: a patch is not refused for what was wrong before", "[api][settings]") {
    conf::Settings file = good_file();
    const Overrides known = overrides({{"tiering.hot_watermark_low", "90"},
                                       {"limits.gone", "1"},
                                       {"gone.too", "1"},
                                       {"timeouts.linger", "{"}});
    CHECK(patched(R"({"limits": {"ranges": 7}})", known, file).problems.empty());
    // What it has to do with is another matter.
    CHECK(fields(patched(R"({"tiering": {"hot_watermark_high": 80}})", known, file)) ==
          Names{"tiering.hot_watermark_high"});
    CHECK(patched(R"({"tiering": {"hot_watermark_high": 95}})", known, file).problems.empty());
    // And it can be mended, and taken back.
    CHECK(patched(R"({"timeouts": {"linger": "1s"}})", known, file).changes ==
          std::vector<storage::SettingChange>{{"timeouts.linger", "\"1s\""}});
    const auto made =
        patched(R"({"limits": {"gone": null}, "gone": null, "tiering": null})", known);
    CHECK(made.problems.empty());
    CHECK(made.changes == std::vector<storage::SettingChange>{{"gone.too", {}},
                                                              {"limits.gone", {}},
                                                              {"tiering.hot_watermark_low", {}}});
}

TEST_CASE("overrides: what is taken back must leave what is right", "[api][settings]") {
    const Overrides known =
        overrides({{"tiering.hot_watermark_low", "86"}, {"tiering.hot_watermark_high", "95"}});
    CHECK(fields(patched(R"({"tiering": {"hot_watermark_high": null}})", known)) ==
          Names{"tiering.hot_watermark_high"});
    CHECK(patched(R"({"tiering": {"hot_watermark_high": null, "hot_watermark_low": 80}})", known)
              .problems.empty());
    CHECK(patched(R"({"tiering": null})", known).problems.empty());
}
