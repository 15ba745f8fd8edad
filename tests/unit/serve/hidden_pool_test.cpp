#include "proxy/serve/hidden_pool.h"

#include "storage/purge_job.h"

#include <catch2/catch.hpp>

using namespace tidepool;
using serve::hidden_pool_purge;

namespace {

using Texts = std::vector<std::string>;

storage::PurgeWish wish_of(const conf::Settings& settings, const conf::PoolSettings& pool) {
    const auto job = hidden_pool_purge(settings, pool, 1000);
    REQUIRE(job);
    CHECK(job->lane == storage::kTakedownLane);
    CHECK(job->not_before_s == 1000 + storage::until_all_know_s(settings));
    storage::JobRecord record;
    record.type = job->type;
    record.payload = job->payload;
    const auto wish = storage::purge_wish(record);
    REQUIRE(wish);
    return *wish;
}

}  // namespace

TEST_CASE("hidden pool: it is purged by its tag, else with all images", "[purge]") {
    conf::Settings settings;
    conf::PoolSettings pool;
    pool.name = "closed";
    CHECK_FALSE(hidden_pool_purge(settings, pool, 1000));
    settings.purge.zone_id = "0123456789abcdef0123456789abcdef";
    CHECK_FALSE(hidden_pool_purge(settings, pool, 1000));
    settings.purge.hosts = {"https://images.example"};
    CHECK(wish_of(settings, pool).prefixes == Texts{"images.example/uploads"});
    pool.bucket = "b";
    settings.upload.public_base_url = "https://site.example";
    CHECK(wish_of(settings, pool).prefixes == Texts{"images.example/uploads",
                                                    "images.example/file/b", "site.example/uploads",
                                                    "site.example/file/b"});
    settings.edge.cache_tags = {"image", "pool"};
    settings.edge.cache_tag_prefix = "x-";
    CHECK(wish_of(settings, pool).tags == Texts{"x-pool-closed"});
    CHECK(wish_of(settings, pool).prefixes.empty());
    pool.public_base_url = "https://b2.example";
    CHECK(wish_of(settings, pool).prefixes == Texts{"b2.example/uploads"});
}
