#include "storage/pool_choice.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using Tier = conf::PoolSettings::Tier;

namespace {

KnownPool pool_named(std::string name, PoolId id, Tier tier, int priority = 100) {
    KnownPool pool;
    pool.id = id;
    pool.settings.name = std::move(name);
    pool.settings.storage_tier = tier;
    pool.settings.priority = priority;
    return pool;
}

std::string order_of(const std::vector<KnownPool>& pools, bool fallback) {
    std::string names;
    for (const KnownPool& pool : pools_for_upload(pools, fallback))
        names += pool.settings.name + " ";
    return names;
}

}  // namespace

TEST_CASE("pool choice: hot by priority and id, then warm, then any", "[pool_choice]") {
    std::vector<KnownPool> pools{
        pool_named("cold", 1, Tier::cold, 1),       pool_named("warm", 2, Tier::warm, 50),
        pool_named("hot-b", 4, Tier::hot),          pool_named("hot-a", 3, Tier::hot),
        pool_named("hot-first", 9, Tier::hot, 5),   pool_named("archive", 5, Tier::archive),
        pool_named("warm-first", 6, Tier::warm, 10)};
    CHECK(order_of(pools, true) == "hot-first hot-a hot-b warm-first warm cold archive ");
    CHECK(order_of(pools, false) == "hot-first hot-a hot-b warm-first warm ");
    pools[0].settings.is_default = true;
    CHECK(order_of(pools, false) == "hot-first hot-a hot-b warm-first warm cold ");
    CHECK(order_of({}, true).empty());
}

TEST_CASE("pool choice: what takes no images is not chosen", "[pool_choice]") {
    std::vector<KnownPool> pools{pool_named("off", 1, Tier::hot), pool_named("full", 2, Tier::hot),
                                 pool_named("backup", 3, Tier::cold),
                                 pool_named("broken", 4, Tier::hot),
                                 pool_named("s3", 5, Tier::cold)};
    pools[0].settings.is_active = false;
    pools[1].state = PoolRecord::State::draining;
    pools[2].settings.is_backup_target = true;
    pools[3].problem = "its secrets cannot be read";
    pools[3].settings.is_active = false;
    CHECK(order_of(pools, true) == "s3 ");
}
