#include "storage/pool_choice.h"

#include "storage/mover.h"

#include <algorithm>
#include <tuple>

namespace tidepool::storage {

std::vector<KnownPool> pools_for_upload(std::span<const KnownPool> pools, bool fallback) {
    using Tier = conf::PoolSettings::Tier;
    // 0 hot, 1 warm, 2 any other that may be used, 3 the default one alone.
    const auto turn_of = [fallback](const KnownPool& pool) {
        if (pool.settings.storage_tier == Tier::hot) return 0;
        if (pool.settings.storage_tier == Tier::warm) return 1;
        return fallback ? 2 : 3;
    };
    std::vector<KnownPool> chosen;
    for (const KnownPool& pool : pools) {
        const bool is_wanted = turn_of(pool) < 3 || pool.settings.is_default;
        if (takes_images(pool) && is_wanted) chosen.push_back(pool);
    }
    std::ranges::sort(chosen, {}, [&](const KnownPool& pool) {
        return std::tuple(turn_of(pool), pool.settings.priority, pool.id);
    });
    return chosen;
}

}  // namespace tidepool::storage
