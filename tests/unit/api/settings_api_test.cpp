#include "proxy/api/settings_api.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;

TEST_CASE("settings of the API: secrets are told by their source", "[api][settings]") {
    conf::Settings settings;
    settings.admin.token = conf::Secret("env:TOKEN", "the-value-itself");
    settings.upload.token_secret = conf::Secret("file:/run/secret", "the-value-itself");
    const Json json = settings_json(settings);
    CHECK(json["restart"]["admin"]["token"] == "env:TOKEN");
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
    file.jobs.threads = 9;
    file.move.grace = std::chrono::milliseconds(1);
    const Json before = settings_json({});
    const Json after = settings_json(after_reload({}, file));
    CHECK(after["reload"] == settings_json(file)["reload"]);
    CHECK(after["reload"] != before["reload"]);
    CHECK(after["restart"] == before["restart"]);
}
