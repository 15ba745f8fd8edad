#include "proxy/serve/hidden_pool.h"

#include "proxy/serve/cache_tags.h"
#include "storage/purge_job.h"
#include "storage/visitor_urls.h"

#include <algorithm>

namespace tidepool::serve {

std::optional<storage::NewJob> hidden_pool_purge(const conf::Settings& settings,
                                                 std::span<const storage::KnownPool> pools,
                                                 const conf::PoolSettings& pool,
                                                 std::int64_t now_s) {
    if (settings.purge.zone_id.empty()) return std::nullopt;
    storage::VisitorPlaces places = storage::visitor_places(settings);
    for (const storage::KnownPool& known : pools)
        storage::add_pool(places, known.settings);
    storage::add_pool(places, pool);
    storage::PurgeWish wish;
    wish.prefixes = storage::edge_prefixes(places, settings.server.url_prefix);
    const auto& tags = settings.edge.cache_tags;
    if (std::ranges::find(tags, "pool") != tags.end())
        wish.tags.push_back(CacheTags(settings.edge).of_pool(pool.name));
    if (wish.tags.empty() && wish.prefixes.empty()) return std::nullopt;
    return storage::takedown_job(wish, settings, now_s);
}

}  // namespace tidepool::serve
