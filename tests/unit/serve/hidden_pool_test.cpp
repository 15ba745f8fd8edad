#include "proxy/serve/hidden_pool.h"

#include "storage/purge_job.h"

#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using serve::hidden_pool_purge;

namespace {

using Texts = std::vector<std::string>;

storage::PurgeWish wish_of(const conf::Settings& settings, const conf::PoolSettings& pool,
                           std::span<const storage::KnownPool> pools = {}) {
    const auto job = hidden_pool_purge(settings, pools, pool, 1000);
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

TEST_CASE("hidden pool: it is purged with all images, and by its tag where it has one", "[purge]") {
    conf::Settings settings;
    conf::PoolSettings pool;
    pool.name = "closed";
    CHECK_FALSE(hidden_pool_purge(settings, {}, pool, 1000));
    settings.purge.zone_id = "0123456789abcdef0123456789abcdef";
    CHECK_FALSE(hidden_pool_purge(settings, {}, pool, 1000));
    settings.purge.hosts = {"https://images.example"};
    CHECK(wish_of(settings, pool).prefixes == Texts{"images.example/uploads"});
    CHECK(wish_of(settings, pool).tags.empty());
    settings.edge.cache_tags = {"image", "pool"};
    settings.edge.cache_tag_prefix = "x-";
    CHECK(wish_of(settings, pool).tags == Texts{"x-pool-closed"});
    CHECK(wish_of(settings, pool).prefixes == Texts{"images.example/uploads"});
}

TEST_CASE("hidden pool: each host has each form of path", "[purge]") {
    conf::Settings settings;
    settings.purge.zone_id = "0123456789abcdef0123456789abcdef";
    settings.purge.hosts = {"https://images.example"};
    settings.edge.hosts = {"images.example", "alias.example", "*.wild.example"};
    settings.upload.public_base_url = "https://site.example";
    conf::PoolSettings pool;
    pool.name = "closed";
    pool.bucket = "b";
    pool.public_base_url = "https://new.example";
    std::vector<storage::KnownPool> pools(2);
    pools[0].settings = pool;
    pools[0].settings.public_base_url = "https://old.example";
    pools[1].settings.bucket = "other";
    pools[1].settings.public_base_url = "https://other.example";
    Texts wanted;
    for (const char* host : {"images.example", "site.example", "alias.example", "old.example",
                             "other.example", "new.example"}) {
        for (const char* path : {"/uploads", "/images", "/file/b", "/file/other"})
            wanted.push_back(std::string(host) + path);
    }
    CHECK(wish_of(settings, pool, pools).prefixes == wanted);
}
