#include "proxy/api/settings_api.h"

#include "conf/settings_reader.h"
#include "conf/settings_schema.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
    conf::Settings old;
    old.certificates = {{"/etc/old.pem", "/etc/key.pem"}};
    file.certificates = {{"/etc/chain.pem", "/etc/key.pem"}};
    file.purge.zone_id = "0123456789abcdef0123456789abcdef";
    file.jobs.threads = 9;
    file.move.grace = std::chrono::milliseconds(1);
    const Json before = settings_json(old);
    const Json after = settings_json(after_reload(old, file));
    CHECK(after["reload"] == settings_json(file)["reload"]);
    CHECK(after["reload"] != before["reload"]);
    CHECK(after["file"] == settings_json(file)["file"]);
    CHECK(after["file"] != before["file"]);
    CHECK(after_reload({}, file).edge.client_address_header == "CF-Connecting-IP");
    CHECK(after["restart"] == before["restart"]);
}

namespace {

// A file with a value of each section that is no default, and what of it needs a restart.
struct ChangedSection {
    std::string toml;
    std::vector<std::string> for_restart;
};

const std::map<std::string_view, ChangedSection> kChangedSections{
    {"server",
     {"[server]\ndrain_idle = \"1s\"\nthreads = 3", {"server.threads", "server.drain_idle"}}},
    {"admin", {"[admin]\nrequest_body = \"1KiB\"", {"admin.request_body"}}},
    {"limits", {"[limits]\nranges = 7", {}}},
    {"timeouts", {"[timeouts]\nidle = \"1s\"", {}}},
    {"workers", {"[workers]\nqueue = 7", {"workers.queue"}}},
    {"cache", {"[cache]\nmemory = \"1MiB\"", {"cache.memory"}}},
    {"types", {"[types]\nallowed = [\"image/png\"]", {}}},
    {"edge",
     {"[edge]\nhosts = [\"images.example\"]\nclient_address_header = \"X-Real-IP\"",
      {"edge.client_address_header"}}},
    {"hotlink", {"[hotlink]\nallow_empty = false", {}}},
    {"rate_limits", {"[rate_limits]\ntable = 1000", {}}},
    {"tls",
     {"[[certificate]]\nchain_file = \"/a\"\nkey_file = \"/b\"\n[tls]\nhttp2 = false\nlisten = "
      "[\"0.0.0.0:443\"]",
      {"tls.listen", "certificate"}}},
    {"access_log", {"[access_log]\npath = \"-\"", {"access_log.path"}}},
    {"log", {"[log]\nlevel = \"warn\"", {}}},
    {"catalog", {"[catalog]\nurl = \"\"", {"catalog.url"}}},
    {"shelf", {"[shelf]\npath = \"\"", {"shelf.path"}}},
    {"jobs", {"[jobs]\nthreads = 7", {"jobs.threads"}}},
    {"move", {"[move]\ngrace = \"1s\"", {"move.grace"}}},
    {"delete", {"[delete]\nbackups = false", {"delete.backups"}}},
    {"purge", {"[purge]\nverify = false", {"purge.verify"}}},
    {"backup", {"[backup]\ndelay = \"1s\"", {"backup.delay"}}},
    {"upload", {"[upload]\nmax_size = \"1MiB\"", {"upload.max_size"}}},
    {"tiering",
     {"[tiering]\nmax_error_percent = 7\nviews_flush = \"0s\"", {"tiering.views_flush"}}},
    {"reconcile", {"[reconcile]\ngrace = \"1s\"", {"reconcile.grace"}}},
    {"origin", {"[origin]\ntries = 7", {"origin.tries"}}},
    {"variants", {"[variants]\nsignature_bytes = 16\nfetches = 7", {"variants.fetches"}}},
    {"private", {"[private]\nttl = \"4h\"", {}}},
    {"certificate", {"[[certificate]]\nchain_file = \"/a\"\nkey_file = \"/b\"", {"certificate"}}},
    {"rate_limit", {"[[rate_limit]]\nrequests = 7", {}}},
    {"profile", {"[[profile]]\nname = \"large\"\nwidth = 7", {"profile"}}},
    {"cache_control", {"[[cache_control]]\nstatus = [\"200\"]\ncache_control = \"private\"", {}}},
    {"pool", {"[[pool]]\nname = \"second\"\nbase_path = \"/srv/more\"", {}}},
};

conf::Settings read_pool_and(const std::string& toml) {
    auto read = conf::read_settings(
        toml + "\n[[pool]]\nname = \"hot\"\nbase_path = \"/srv/uploads\"\n", "t.toml");
    for (const conf::Problem& problem : read.problems)
        FAIL_CHECK(problem.text());
    return std::move(read.settings);
}

}  // namespace

TEST_CASE("settings of the API: of every section what a reload leaves is named",
          "[api][settings]") {
    const conf::Settings started = read_pool_and("");
    CHECK(keys_for_restart(started, started).empty());
    CHECK(kChangedSections.size() == conf::settings_schema().size());
    for (const conf::SectionSchema& section : conf::settings_schema()) {
        CAPTURE(section.name);
        const auto changed = kChangedSections.find(section.name);
        REQUIRE(changed != kChangedSections.end());
        const conf::Settings file = read_pool_and(changed->second.toml);
        CHECK_FALSE(file == started);
        CHECK(keys_for_restart(started, file) == changed->second.for_restart);
    }
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
