#include "proxy/api/settings_api.h"

#include "conf/settings_schema.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;

TEST_CASE("settings of the API: secrets are told by their source", "[api][settings]") {
    conf::Settings settings;
    settings.admin.token = conf::Secret("env:TOKEN", "the-value-itself");
    settings.upload.token_secret = conf::Secret("file:/run/secret", "the-value-itself");
    settings.edge.secret = conf::Secret("env:EDGE", "the-value-itself");
    settings.private_images.signing_key = conf::Secret("env:PRIVATE", "the-value-itself");
    settings.purge.api_token = conf::Secret("env:PURGE", "the-value-itself");
    const Json json = settings_json(settings);
    CHECK(json["file"]["edge"]["secret"] == "env:EDGE");
    CHECK(json["file"]["edge"]["secret_previous"] == nullptr);
    CHECK(json["file"]["private"]["signing_key"] == "env:PRIVATE");
    CHECK(json["restart"]["admin"]["token"] == "env:TOKEN");
    CHECK(json["restart"]["purge"]["api_token"] == "env:PURGE");
    CHECK(json["restart"]["upload"]["token_secret"] == "file:/run/secret");
    CHECK(json["restart"]["upload"]["replicate_secret"] == nullptr);
    CHECK(json.dump().find("the-value-itself") == std::string::npos);
}

TEST_CASE("settings of the API: a reload changes what stands there, and nothing else",
          "[api][settings]") {
    conf::Settings file;
    file.limits.ranges = 7;
    file.timeouts.linger = std::chrono::milliseconds(3);
    file.tiering.enabled = true;
    file.edge.lock = conf::EdgeSettings::Lock::log;
    file.edge.hosts = {"images.example"};
    file.edge.client_address_header = "X-Real-IP";
    file.edge.cache_tag_prefix = "x-";
    file.hotlink.allowed_hosts = {"site.example"};
    file.rate_limits.table = 1000;
    file.rate_limit = {{.prefix = "uploads/", .requests = 7}};
    file.tls.http2 = false;
    file.tls.listen = {{conf::ListenAddress::Family::inet4, "0.0.0.0", 443}};
    file.certificates = {{"/etc/chain.pem", "/etc/key.pem"}};
    file.purge.zone_id = "0123456789abcdef0123456789abcdef";
    file.jobs.threads = 9;
    file.move.grace = std::chrono::milliseconds(1);
    const Json before = settings_json({});
    const Json after = settings_json(after_reload({}, file));
    CHECK(after["reload"] == settings_json(file)["reload"]);
    CHECK(after["reload"] != before["reload"]);
    CHECK(after["file"] == settings_json(file)["file"]);
    CHECK(after["file"] != before["file"]);
    CHECK(after_reload({}, file).edge.client_address_header == "CF-Connecting-IP");
    CHECK(after["restart"] == before["restart"]);
}

TEST_CASE("settings of the API: what a reload changes can be changed, by the keys of the file",
          "[api][settings]") {
    const Json reload = settings_json({})["reload"];
    CHECK(reload.size() == changeable_sections().size());
    for (const std::string_view section : changeable_sections()) {
        INFO(section);
        const auto schema =
            std::ranges::find(conf::settings_schema(), section, &conf::SectionSchema::name);
        REQUIRE(schema != conf::settings_schema().end());
        std::vector<std::string> shown;
        for (const auto& [key, value] : reload.at(std::string(section)).items())
            shown.push_back(key);
        CHECK(std::vector<std::string>(schema->keys.begin(), schema->keys.end()) == shown);
    }
}

TEST_CASE("settings of the API: a section that is shown is shown with all its keys",
          "[api][settings]") {
    conf::Settings settings;
    settings.rate_limit.resize(1);
    settings.certificates.resize(1);
    const Json all = settings_json(settings);
    for (const std::string_view section :
         {"edge", "private", "hotlink", "rate_limits", "rate_limit", "tls", "certificate", "purge",
          "upload", "jobs", "move", "delete", "backup", "reconcile"}) {
        INFO(section);
        const auto schema =
            std::ranges::find(conf::settings_schema(), section, &conf::SectionSchema::name);
        REQUIRE(schema != conf::settings_schema().end());
        std::set<std::string_view> wanted(schema->keys.begin(), schema->keys.end());
        for (const char* const change : {"file", "restart"}) {
            const Json shown = all[change].value(std::string(section), Json::object());
            const Json& first = shown.is_array() ? shown.at(0) : shown;
            for (const auto& [key, value] : first.items())
                CHECK(wanted.erase(key) == 1);
        }
        CHECK(wanted.empty());
    }
}

TEST_CASE("settings of the API: all that is shown can be sent back", "[api][settings]") {
    conf::Settings file;
    conf::PoolSettings pool;
    pool.name = "hot";
    pool.base_path = "/srv/uploads";
    file.pools = {pool};
    conf::Settings other = file;
    other.limits.ranges = 7;
    other.limits.header_bytes = 65537;
    other.timeouts.idle = std::chrono::milliseconds(1234);
    other.tiering.enabled = true;
    other.tiering.window = "01:00-05:00";
    other.tiering.sweep_bytes = 1'000'001;
    const auto made = patch_overrides(file, {}, settings_json(other)["reload"]);
    CHECK(made.problems.empty());
    CHECK(override_settings(file, made.all).settings == other);
}

TEST_CASE("settings of the API: what is not the file's is named", "[api][settings]") {
    const ApiAnswer answer =
        show_settings({{}, {"limits.ranges"}}, {"GET", "/api/admin/v1/settings", "", ""});
    CHECK(answer.status == 200);
    CHECK(Json::parse(answer.body)["overridden"] == Json::array({"limits.ranges"}));
    CHECK(show_settings({}, {"GET", "/api/admin/v1/settings", "x=1", ""}).status == 400);
}
