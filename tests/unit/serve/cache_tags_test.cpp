#include "proxy/serve/cache_tags.h"

#include "conf/settings_reader.h"
#include "proxy/serve/cache_policy.h"
#include "proxy/serve/cached_file.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

const std::string kUuid = "0e5a4b6c-1d2e-4f3a-8b7c-9d0e1f2a3b4c";
const std::string kKey = "uploads/original/2026/02/25/" + kUuid + ".jpg";
const std::string kVariant = "uploads/variants/2026/02/25/" + kUuid + "_small.webp";
constexpr std::int64_t kModified = 1'772'000'000;  // 25 February 2026, 06:13:20 UTC

CacheTags tags(std::vector<std::string> names, std::string prefix = "") {
    conf::EdgeSettings edge;
    edge.cache_tags = std::move(names);
    edge.cache_tag_prefix = std::move(prefix);
    return CacheTags(edge);
}

}  // namespace

TEST_CASE("cache tags: what a configuration wants", "[serve][tags]") {
    const CacheTags::Subject image{kKey, "hot", kModified};
    CHECK(CacheTags().line(image).empty());
    CHECK(tags({}).line(image).empty());
    CHECK(CacheTags(conf::EdgeSettings()).line(image) == "Cache-Tag: img-" + kUuid + "\r\n");
    CHECK(tags({"pool"}).line(image) == "Cache-Tag: pool-hot\r\n");
    CHECK(tags({"day", "image", "pool", "day"}).line(image) ==
          "Cache-Tag: img-" + kUuid + ",pool-hot,day-2026-02-25\r\n");
    CHECK(tags({"image", "pool"}, "TP-").line(image) ==
          "Cache-Tag: tp-img-" + kUuid + ",tp-pool-hot\r\n");
    CHECK(tags({"image"}).line({kVariant, "", std::nullopt}) == "Cache-Tag: img-" + kUuid + "\r\n");
}

TEST_CASE("cache tags: what is not known has none", "[serve][tags]") {
    const CacheTags all = tags({"image", "pool", "day"});
    CHECK(all.line({"uploads/a.jpg", "", std::nullopt}).empty());
    CHECK(all.line({"", "", std::nullopt}).empty());
    CHECK(all.line({"uploads/a.jpg", "hot", kModified}) ==
          "Cache-Tag: pool-hot,day-2026-02-25\r\n");
    CHECK(all.line({"uploads/a.jpg", "", 0}) == "Cache-Tag: day-1970-01-01\r\n");
    CHECK(all.line({kKey, "", 0}) == "Cache-Tag: img-" + kUuid + ",day-2026-02-25\r\n");
}

TEST_CASE("cache tags: within the edge's limits, however long the parts are", "[serve][tags]") {
    const CacheTags all = tags({"image", "pool", "day"}, std::string(64, 'p'));
    const std::string line = all.line({kKey, std::string(63, 'n'), kModified});
    CHECK(line.size() < 600);
    CHECK(line.find(' ') == line.rfind(' '));  // the one behind the colon
}

TEST_CASE("cache tags: on what the edge may store alone", "[serve][tags]") {
    const conf::ReadSettings read = conf::read_settings(R"(
[[cache_control]]
status = ["2xx", "3xx", "4xx"]
prefix = "uploads/private/"
cache_control = "private, max-age=60"
[[cache_control]]
status = ["200"]
prefix = "uploads/split/"
cache_control = "private, max-age=60"
cloudflare_cdn_cache_control = "max-age=60"
[[cache_control]]
status = ["200"]
prefix = "uploads/browsers/"
cache_control = "public, max-age=60"
cdn_cache_control = "no-store"
[[pool]]
name = "a"
base_path = "/srv"
)",
                                                        "test.toml");
    REQUIRE(read.problems.empty());
    const CachePolicy policy(read.settings.cache_control, tags({"image"}));
    const std::string line = "Cache-Tag: img-" + kUuid + "\r\n";
    const auto of = [&](const std::string& key, int status) {
        return policy.tag_line({key, "hot", kModified}, status, "image/jpeg");
    };
    for (const int status : {200, 206, 304, 302, 404, 410}) {
        CAPTURE(status);
        CHECK(of(kKey, status) == line);
        CHECK(of("uploads/private/" + kUuid + ".jpg", status).empty());
    }
    for (const int status : {400, 403, 416, 429, 500, 503}) {
        CAPTURE(status);
        CHECK(of(kKey, status).empty());
    }
    CHECK(of("uploads/split/" + kUuid + ".jpg", 200) == line);
    CHECK(of("uploads/browsers/" + kUuid + ".jpg", 200).empty());
}

TEST_CASE("cache tags: in every answer that a file is described for", "[serve][tags]") {
    CachedFile file;
    file.identity.size = 5;
    file.identity.modified_ns = kModified * 1'000'000'000;
    file.body = "hello";
    file.content_type = "image/jpeg";
    describe(file, kKey, "\"e\"", CachePolicy(conf::default_cache_control(), tags({"image"})),
             kModified + 1);
    const std::string line = "\r\nCache-Tag: img-" + kUuid + "\r\n";
    for (const std::string_view head :
         {file.shared_lines(), std::string_view(file.lines), file.lines_304()}) {
        CHECK(head.contains(line));
        CHECK(head.find("Cache-Tag") == head.rfind("Cache-Tag"));
    }
}
