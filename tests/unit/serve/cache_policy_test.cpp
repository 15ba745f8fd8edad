#include "proxy/serve/cache_policy.h"

#include "conf/settings.h"
#include "conf/settings_reader.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

constexpr const char* kUuid =
    "uploads/original/2026/02/25/0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c.jpg";

CachePolicy policy(const std::string& rules) {
    const conf::ReadSettings read = conf::read_settings(
        rules + "\n[[pool]]\nname = \"a\"\nbase_path = \"/srv\"\n", "test.toml");
    REQUIRE(read.problems.empty());
    return CachePolicy(read.settings.cache_control);
}

}  // namespace

TEST_CASE("cache policy: the defaults", "[serve][policy]") {
    const CachePolicy defaults = policy("");
    const std::string for_ever = defaults.lines(kUuid, 200, "image/jpeg");
    CHECK(for_ever.starts_with("Cache-Control: public, max-age=31536000, immutable\r\n"));
    CHECK(for_ever.find("Cloudflare-CDN-Cache-Control: ") != std::string::npos);
    CHECK(defaults.lines(kUuid, 206, "image/jpeg") == for_ever);
    CHECK(defaults.lines(kUuid, 304, "image/jpeg") == for_ever);
    CHECK(defaults.lines("uploads/a.jpg", 200, "image/jpeg") ==
          "Cache-Control: public, max-age=300\r\n");
    CHECK(defaults.cache_control(kUuid, 200, "image/jpeg") ==
          "public, max-age=31536000, immutable");
    CHECK(defaults.cache_control("", 416, "text/plain") == "no-store");
    CHECK(defaults.lines(kUuid, 404, "text/plain") == "Cache-Control: public, max-age=60\r\n");
    for (const int status : {500, 502, 503, 504}) {
        CHECK(defaults.lines(kUuid, status, "text/plain") == "Cache-Control: no-store\r\n");
    }
    for (const int status : {204, 400, 405, 408, 412, 416, 429}) {
        CAPTURE(status);
        CHECK(defaults.lines("", status, "text/plain") == "Cache-Control: no-store\r\n");
    }
}

TEST_CASE("cache policy: the first rule that matches decides", "[serve][policy]") {
    const CachePolicy own = policy(R"(
[[cache_control]]
prefix = "uploads/private/"
cache_control = "private, no-store"
[[cache_control]]
status = ["200"]
content_type = "image/*"
prefix = "uploads/variants/"
cache_control = "public, max-age=60"
cdn_cache_control = "max-age=600"
cloudflare_cdn_cache_control = "max-age=6000"
[[cache_control]]
status = ["4xx"]
cache_control = "public, max-age=1"
)");
    CHECK(own.lines("uploads/private/a.jpg", 200, "image/jpeg") ==
          "Cache-Control: private, no-store\r\n");
    CHECK(own.lines("uploads/private/a.jpg", 404, "text/plain") ==
          "Cache-Control: private, no-store\r\n");
    CHECK(own.lines("uploads/variants/a.jpg", 206, "image/jpeg") ==
          "Cache-Control: public, max-age=60\r\nCDN-Cache-Control: max-age=600\r\n"
          "Cloudflare-CDN-Cache-Control: max-age=6000\r\n");
    CHECK(own.lines("uploads/variants/a.svg", 200, "text/html") ==
          "Cache-Control: public, max-age=300\r\n");
    CHECK(own.lines("uploads/a.jpg", 410, "text/plain") == "Cache-Control: public, max-age=1\r\n");
    CHECK(own.lines("uploads/a.jpg", 503, "text/plain") == "Cache-Control: no-store\r\n");
}
