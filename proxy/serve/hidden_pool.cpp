#include "proxy/serve/hidden_pool.h"

#include "proxy/serve/cache_tags.h"
#include "storage/purge_job.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

namespace {

// "images.example/uploads" of "https://images.example" and "/uploads/".
std::string edge_prefix(std::string_view base_url, std::string_view path) {
    const std::size_t scheme = base_url.find("://");
    std::string text(base_url.substr(scheme == base_url.npos ? 0 : scheme + 3));
    text.append(path);
    while (text.ends_with('/'))
        text.pop_back();
    return text;
}

}  // namespace

std::optional<storage::NewJob> hidden_pool_purge(const conf::Settings& settings,
                                                 const conf::PoolSettings& pool,
                                                 std::int64_t now_s) {
    if (settings.purge.zone_id.empty()) return std::nullopt;
    storage::PurgeWish wish;
    const std::string& path = settings.server.url_prefix;
    // What its bucket answers there has no tag.
    if (!pool.public_base_url.empty())
        wish.prefixes.push_back(edge_prefix(pool.public_base_url, path));
    const auto& tags = settings.edge.cache_tags;
    if (std::ranges::find(tags, "pool") != tags.end()) {
        wish.tags.push_back(CacheTags(settings.edge).of_pool(pool.name));
    } else {
        std::vector<std::string> hosts = settings.purge.hosts;
        if (!settings.upload.public_base_url.empty())
            hosts.push_back(settings.upload.public_base_url);
        for (const std::string& host : hosts) {
            wish.prefixes.push_back(edge_prefix(host, path));
            if (!pool.bucket.empty())
                wish.prefixes.push_back(edge_prefix(host, "/file/" + pool.bucket));
        }
    }
    if (wish.tags.empty() && wish.prefixes.empty()) return std::nullopt;
    storage::NewJob job = storage::purge_job(wish, "");
    job.lane = storage::kTakedownLane;
    job.not_before_s = now_s + storage::until_all_know_s(settings);
    return job;
}

}  // namespace tidepool::serve
