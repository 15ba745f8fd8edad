// What can be wrong with pools of type s3 (contracts: pixelfox.md, Storage pool fields;
// b2-s3.md 4.6).
#include "conf/settings_reader.h"

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <stdlib.h>

using namespace tidepool::conf;

namespace {

using Values = std::map<std::string, std::string>;

// The contract's example of a cold pool.
const Values kCold{
    {"name", "'b2-cold'"},
    {"storage_type", "'s3'"},
    {"storage_tier", "'cold'"},
    {"bucket", "'pixelfox-dev'"},
    {"region", "'us-west-001'"},
    {"endpoint_url", "'https://s3.us-west-001.backblazeb2.com'"},
    {"public_base_url", "'https://images-b2.pixelfox.cc'"},
    {"access_key_id", "'0012345'"},
    {"secret_access_key", "'env:TIDEPOOL_TEST_SECRET'"},
    {"max_size", "'5000GB'"},
    {"priority", "500"},
};

std::string pool(Values values, const Values& changes = {}) {
    for (const auto& [key, value] : changes) {
        if (value.empty()) {
            values.erase(key);
        } else {
            values[key] = value;
        }
    }
    std::string text = "[[pool]]\n";
    for (const auto& [key, value] : values)
        text += key + " = " + value + "\n";
    return text;
}

ReadSettings read(const std::string& toml) {
    setenv("TIDEPOOL_TEST_SECRET", "very-secret-value", 1);  // NOLINT(concurrency-mt-unsafe)
    return read_settings(toml, "t.toml");
}

// "KEY: MESSAGE" of each problem.
std::vector<std::string> problems(const std::string& toml) {
    std::vector<std::string> all;
    for (const Problem& problem : read(toml).problems)
        all.push_back(problem.key + ": " + problem.message);
    return all;
}

}  // namespace

TEST_CASE("settings of s3: the contract's example is right", "[conf][settings]") {
    const ReadSettings settings = read(pool(kCold));
    for (const Problem& problem : settings.problems)
        FAIL_CHECK(problem.text());
    REQUIRE(settings.settings.pools.size() == 1);
    const PoolSettings& cold = settings.settings.pools.front();
    CHECK(cold.storage_type == PoolSettings::Type::s3);
    CHECK(cold.max_size_bytes == 5'000'000'000'000);
    CHECK(cold.access_key_id.reveal() == "0012345");
    CHECK(cold.access_key_id.source().empty());
    CHECK(cold.secret_access_key.reveal() == "very-secret-value");
    CHECK(cold.secret_access_key.source() == "env:TIDEPOOL_TEST_SECRET");
    CHECK(cold.serve == PoolSettings::Serve::proxy);
    CHECK(cold.origin == PoolSettings::Origin::s3);
}

TEST_CASE("settings of s3: each wrong value is one problem that says what to do",
          "[conf][settings]") {
    struct Case {
        const char* key;
        const char* value;
        const char* problem;
    };
    const Case cases[] = {
        {"path_prefix", "'uploads/'", "would be \"uploads/uploads/...\"; write \"\""},
        {"path_prefix", "'uploads/site/'", "would be \"uploads/uploads/...\""},
        {"path_prefix", "'site'", "ends with \"/\""},
        {"path_prefix", "'/site/'", "write \"site/\""},
        {"path_prefix", "'a//b/'", "holds an empty"},
        {"path_prefix", "'../'", "\"..\" part"},
        {"bucket", "'ab'", "3 to 63 characters"},
        {"bucket", "'Pixelfox'", "only a-z"},
        {"bucket", "'-pixelfox'", "starts and ends with a letter or digit"},
        {"bucket", "'pixelfox.'", "starts and ends with a letter or digit"},
        {"bucket", "'pixel..fox'", "holds \"..\""},
        {"bucket", "'b2-pixelfox'", "which B2 keeps for itself"},
        {"bucket", "'10.20.30.40'", "looks like an IPv4 address"},
        {"region", "'us west'", "expected a region"},
        {"region", "'eu-central-003'", "the endpoint is in region \"us-west-001\""},
        {"endpoint_url", "'s3.us-west-001.backblazeb2.com'", "expected a URL"},
        {"endpoint_url", "'https://s3.us-west-001.backblazeb2.com/'", "does not end with \"/\""},
        {"endpoint_url", "'https://key:secret@s3.example'", "holds no user or password"},
        {"public_base_url", "'https://'", "has no host"},
        {"public_base_url", "'https://images.example?x'", "has no use here"},
        {"secret_access_key", "'plain-text-secret'", "expected \"env:NAME\" or \"file:/PATH\""},
        {"secret_access_key", "'env:TIDEPOOL_TEST_NONE'", "no variable \"TIDEPOOL_TEST_NONE\""},
        {"secret_access_key", "'file:/nowhere/key'", "/nowhere/key"},
        {"secret_access_key", "''", "is missing, which a pool of type s3 needs"},
        {"bucket", "", "is missing, which a pool of type s3 needs: write bucket ="},
        {"region", "", "is missing"},
        {"endpoint_url", "", "is missing"},
        {"access_key_id", "", "is missing"},
        {"base_path", "'/srv/uploads'", "a pool of type s3 has no folder"},
        {"marker", "'.mounted'", "a pool of type s3 has no disk to be mounted: remove marker"},
        {"origin", "'friendly'", "fetched from download_url"},
        {"download_authorization", "true", "write origin = \"friendly\""},
        {"download_authorization", "'yes'", "expected true or false"},
        {"download_authorization_lifetime", "'19s'", "from 20s to 7d"},
        {"download_authorization_lifetime", "'8d'", "from 20s to 7d"},
        {"native_url", "'api.backblazeb2.com'", "expected a URL"},
        {"addressing", "'virtual'", "expected \"path\" or \"virtual_host\""},
        {"budget_warning_percent", "0", "from 1 to 100"},
    };
    for (const auto& [key, value, problem] : cases) {
        CAPTURE(key, value);
        const auto found = problems(pool(kCold, {{key, value}}));
        REQUIRE(found.size() == 1);
        CHECK_THAT(found.front(), Catch::StartsWith(std::string("pool[1].") + key + ": "));
        CHECK_THAT(found.front(), Catch::Contains(problem));
    }
}

TEST_CASE("settings of s3: a private bucket behind its friendly URL", "[conf][settings]") {
    Values values = kCold;
    values["origin"] = "'friendly'";
    values["download_authorization"] = "true";
    const ReadSettings settings = read(pool(values));  // B2 says the download_url
    CHECK(settings.problems.empty());
    REQUIRE(settings.settings.pools.size() == 1);
    CHECK(settings.settings.pools.front().download_authorization);
    CHECK(settings.settings.pools.front().download_authorization_lifetime ==
          std::chrono::hours(24));
    CHECK(settings.settings.pools.front().native_url == "https://api.backblazeb2.com");

    const auto redirects = problems(pool(values, {{"serve", "'redirect'"}}));
    REQUIRE(redirects.size() == 1);
    CHECK_THAT(redirects.front(), Catch::StartsWith("pool[1].download_authorization: visitors"));
    const auto nowhere = problems(pool(values, {{"native_url", "''"}}));
    REQUIRE(nowhere.size() == 1);
    CHECK_THAT(nowhere.front(), Catch::StartsWith("pool[1].native_url: is empty"));
    const auto local = problems(
        "[[pool]]\nname = 'hot'\nbase_path = '/srv/uploads'\n"
        "download_authorization = true\n");
    REQUIRE(local.size() == 1);
    CHECK_THAT(local.front(), Catch::Contains("belongs to pools of type s3"));
}

TEST_CASE("settings of s3: invariant 10, a secret in the wrong place is not repeated",
          "[conf][settings]") {
    for (const char* value : {"'plain-text-secret'", "['plain-text-secret']"}) {
        const auto found = problems(pool(kCold, {{"secret_access_key", value}}));
        REQUIRE(!found.empty());
        CHECK_THAT(found.front(), !Catch::Contains("plain-text"));
    }
    CHECK(problems("[admin]\ntoken = 'plain-text-secret'\n" + pool(kCold)) ==
          std::vector<std::string>{"admin.token: expected \"env:NAME\" or \"file:/PATH\""});
}

TEST_CASE("settings of s3: pools must fit each other", "[conf][settings]") {
    CHECK_THAT(problems(pool(kCold) + pool(kCold, {{"name", "'other'"}})),
               Catch::VectorContains(std::string(
                   "pool[2].bucket: bucket \"pixelfox-dev\" is that of pool \"b2-cold\" too: give "
                   "each a path_prefix of its own, or a bucket")));
    for (const char* spelling : {"'HTTPS://S3.us-west-001.Backblazeb2.com:443/'",
                                 "'https://s3.us-west-001.backblazeb2.com.'"}) {
        CAPTURE(spelling);
        CHECK_THAT(
            problems(pool(kCold) + pool(kCold, {{"name", "'other'"}, {"endpoint_url", spelling}})),
            Catch::VectorContains(std::string(
                "pool[2].bucket: bucket \"pixelfox-dev\" is that of pool \"b2-cold\" too: "
                "give each a path_prefix of its own, or a bucket")));
    }
    CHECK(problems(pool(kCold, {{"endpoint_url", "'http://127.0.0.1:9000'"}}) +
                   pool(kCold, {{"name", "'other'"}, {"endpoint_url", "'http://127.0.0.1:9001'"}}))
              .empty());
    CHECK(problems(pool(kCold, {{"path_prefix", "'a/'"}}) +
                   pool(kCold, {{"name", "'other'"}, {"path_prefix", "'b/'"}}))
              .empty());
    CHECK(problems(
              pool(kCold, {{"is_default", "true"}}) +
              pool(kCold,
                   {{"name", "'other'"}, {"bucket", "'pixelfox-prod'"}, {"is_default", "true"}})) ==
          std::vector<std::string>{"pool[2].is_default: only one pool can be the default"});
    CHECK(problems("[catalog]\nurl = ''\n" + pool(kCold)).size() == 1);
    CHECK(problems("[catalog]\nurl = 'postgres://user@host/db'\n" + pool(kCold)).size() == 1);
    CHECK(problems(pool(kCold, {{"serve", "'redirect'"}, {"public_base_url", ""}})).size() == 1);
    CHECK(problems(pool(kCold, {{"addressing", "'virtual_host'"}, {"bucket", "'a.b.c'"}})).size() ==
          1);
}

TEST_CASE("settings of s3: what belongs to buckets has no place in a folder's pool",
          "[conf][settings]") {
    const Values hot{{"name", "'hot'"}, {"base_path", "'/srv/uploads'"}};
    for (const auto& [key, value] :
         std::initializer_list<Values::value_type>{{"bucket", "'pixelfox-dev'"},
                                                   {"endpoint_url", "'https://s3.example'"},
                                                   {"access_key_id", "'0012345'"},
                                                   {"path_prefix", "'a/'"},
                                                   {"serve", "'redirect'"},
                                                   {"origin", "'friendly'"},
                                                   {"is_backup_target", "true"}}) {
        CAPTURE(key);
        const auto found = problems(pool(hot, {{key, value}}));
        REQUIRE(found.size() == 1);
        CHECK_THAT(found.front(), Catch::StartsWith("pool[1]." + key + ": "));
    }
}
