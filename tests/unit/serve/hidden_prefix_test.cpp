#include "proxy/serve/hidden_prefix.h"

#include "storage/purge_job.h"

#include <catch2/catch.hpp>

using namespace tidepool;
using serve::hidden_prefix_purge;
using serve::newly_private;

namespace {

using Names = std::vector<std::string>;

Names purged(const conf::Settings& settings, const std::vector<storage::KnownPool>& pools,
             const Names& prefixes) {
    const auto job = hidden_prefix_purge(settings, pools, prefixes, 1000);
    if (!job) return {};
    CHECK(job->lane == storage::kTakedownLane);
    CHECK(job->not_before_s == 1000 + storage::until_all_know_s(settings));
    storage::JobRecord record;
    record.type = job->type;
    record.payload = job->payload;
    const auto wish = storage::purge_wish(record);
    REQUIRE(wish);
    return wish->prefixes;
}

}  // namespace

TEST_CASE("hidden prefix: new is what no prefix of before covered", "[purge]") {
    CHECK(newly_private(Names{}, Names{"a/", "b/"}) == Names{"a/", "b/"});
    CHECK(newly_private(Names{"a/"}, Names{"a/", "a/b/"}).empty());
    CHECK(newly_private(Names{"a/b/"}, Names{"a/"}) == Names{"a/"});
    CHECK(newly_private(Names{"a/"}, Names{}).empty());
}

TEST_CASE("hidden prefix: its folder is purged, and the one of its variants", "[purge]") {
    conf::Settings settings;
    CHECK(purged(settings, {}, {"uploads/a/"}).empty());
    settings.purge.zone_id = "0123456789abcdef0123456789abcdef";
    CHECK(purged(settings, {}, {"uploads/a/"}).empty());
    settings.purge.hosts = {"https://images.example"};
    CHECK(purged(settings, {}, {}).empty());
    CHECK(purged(settings, {}, {"uploads/a/"}) == Names{"images.example/uploads/a"});
    CHECK(purged(settings, {}, {"uploads/a/b"}) == Names{"images.example/uploads/a"});
    CHECK(purged(settings, {}, {"uploads/original/2026/02"}) ==
          Names{"images.example/uploads/original/2026", "images.example/uploads/variants/2026"});
    CHECK(purged(settings, {}, {"uploads/unoriginal/x"}) ==
          Names{"images.example/uploads/unoriginal"});
    CHECK(purged(settings, {}, {""}) == Names{"images.example/images", "images.example/uploads"});
    storage::KnownPool pool;
    pool.settings.bucket = "b";
    pool.settings.path_prefix = "p/";
    pool.settings.public_base_url = "https://b2.example";
    CHECK(purged(settings, {pool}, {"uploads/a/"}) ==
          Names{"b2.example/file/b/p/uploads/a", "b2.example/file/b/uploads/a",
                "b2.example/uploads/a", "images.example/file/b/p/uploads/a",
                "images.example/file/b/uploads/a", "images.example/uploads/a"});
}
