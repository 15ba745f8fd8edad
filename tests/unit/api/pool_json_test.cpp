#include "proxy/api/pool_json.h"

#include "conf/settings_schema.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using conf::PoolSettings;

namespace {

// Every field is another than by default.
PoolSettings full_bucket() {
    PoolSettings pool;
    pool.name = "cold";
    pool.storage_type = PoolSettings::Type::s3;
    pool.storage_tier = PoolSettings::Tier::archive;
    pool.marker = ".mounted";
    pool.max_size_bytes = 5'000'000'000'001;
    pool.priority = 500;
    pool.is_active = false;
    pool.is_default = true;
    pool.is_backup_target = true;
    pool.public_base_url = "https://images-b2.example";
    pool.upload_api_url = "https://node.example/upload";
    pool.node_id = "node-1";
    pool.description = "the \"cold\" one, \xc3\xa4";
    pool.region = "us-west-001";
    pool.bucket = "pixelfox-dev";
    pool.endpoint_url = "https://s3.us-west-001.backblazeb2.com";
    pool.download_url = "https://f001.backblazeb2.com";
    pool.download_authorization = true;
    pool.download_authorization_lifetime = std::chrono::hours(1);
    pool.native_url = "https://api.example";
    pool.path_prefix = "a/";
    pool.addressing = PoolSettings::Addressing::virtual_host;
    pool.serve = PoolSettings::Serve::redirect;
    pool.origin = PoolSettings::Origin::friendly;
    pool.daily_class_a_calls = 1;
    pool.daily_class_b_calls = 2;
    pool.daily_class_c_calls = 3;
    pool.daily_egress_bytes = 4096;
    pool.budget_warning_percent = 70;
    pool.jobs = 7;
    pool.job_bandwidth_bytes = 8192;
    pool.job_requests = 9;
    return pool;
}

std::string first_problem(const api::Json& json) {
    PoolSettings pool;
    const auto problems = api::read_pool_json(json, pool);
    return problems.empty() ? "" : problems[0].field + ": " + problems[0].message;
}

}  // namespace

TEST_CASE("pool json: what was written is read back", "[api][pool_json]") {
    const PoolSettings pool = full_bucket();
    api::Json json = api::pool_json(pool);
    json.erase("access_key_id");
    json.erase("secret_access_key");
    PoolSettings again;
    CHECK(api::read_pool_json(api::Json::parse(api::text_of(json)), again).empty());
    CHECK(again == pool);
}

TEST_CASE("pool json: every setting of a pool is in it", "[api][pool_json]") {
    const auto& schema = conf::settings_schema();
    const auto section = std::ranges::find(schema, "pool", &conf::SectionSchema::name);
    REQUIRE(section != schema.end());
    std::set<std::string> wanted(section->keys.begin(), section->keys.end());
    wanted.erase("debug_disk_delay");  // for tests of the server alone
    std::set<std::string> written;
    for (const auto& [key, value] : api::pool_json(full_bucket()).items())
        written.insert(key);
    CHECK(written == wanted);
}

TEST_CASE("pool json: secrets are named by their source, never shown", "[api][pool_json]") {
    PoolSettings pool = full_bucket();
    pool.access_key_id = conf::Secret("", "literal-id");
    pool.secret_access_key = conf::Secret("env:B2_KEY", "the-secret");
    const std::string text = api::text_of(api::pool_json(pool));
    CHECK(text.find("the-secret") == std::string::npos);
    CHECK(text.find("literal-id") == std::string::npos);
    CHECK(text.find("env:B2_KEY") != std::string::npos);
}

TEST_CASE("pool json: what is wrong is told by the field's name", "[api][pool_json]") {
    using api::Json;
    CHECK(first_problem(Json::array()).starts_with(": expected an object"));
    CHECK(first_problem(Json::object()) == "name: is missing: write name = \"hot\"");
    CHECK(first_problem({{"name", "a"}, {"nmae", 1}}) ==
          "nmae: unknown key; did you mean \"name\"?");
    CHECK(first_problem({{"name", "a"}, {"priority", "high"}})
              .starts_with("priority: expected a whole"));
    CHECK(first_problem({{"name", "a"}, {"priority", 1.5}})
              .starts_with("priority: expected a whole"));
    CHECK(first_problem({{"name", "a"}, {"priority", 18446744073709551615ULL}})
              .starts_with("priority: expected a whole"));
    CHECK(first_problem({{"name", "a"}, {"max_size", Json::array({1, Json::object()})}})
              .starts_with("max_size: expected a size"));
    CHECK(first_problem({{"name", "a"}, {"bucket", {{"b", {{"c", {{"d", 1}}}}}}}})
              .starts_with("bucket: expected a text"));
    CHECK(first_problem({{"name", "a"}, {"a.b", true}}).starts_with("a.b: unknown key"));
    CHECK(first_problem({{"name", "a"}, {"bucket", nullptr}}).empty());
}
