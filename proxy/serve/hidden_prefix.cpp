#include "proxy/serve/hidden_prefix.h"

#include "storage/purge_job.h"
#include "storage/visitor_urls.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace tidepool::serve {

namespace {

// The folder that all keys of the prefix are in, and the one of their variants where that is
// another: see PrivateRules::covers.
void add_folders(const conf::Settings& settings, std::string_view prefix,
                 std::vector<std::string>& folders) {
    const std::string folder(prefix.substr(0, prefix.rfind('/') + 1));
    if (folder.empty()) {
        folders.push_back(settings.server.url_prefix.substr(1));
        folders.emplace_back("images/");
        return;
    }
    folders.push_back(folder);
    constexpr std::string_view kOriginals = "original/";
    for (std::size_t at = folder.find(kOriginals); at != folder.npos;
         at = folder.find(kOriginals, at + 1)) {
        if (at > 0 && folder[at - 1] != '/') continue;
        std::string variants = folder;
        folders.push_back(variants.replace(at, kOriginals.size(), "variants/"));
    }
}

}  // namespace

std::vector<std::string> newly_private(std::span<const std::string> before,
                                       std::span<const std::string> now) {
    std::vector<std::string> found;
    for (const std::string& prefix : now) {
        const bool was_private = std::ranges::any_of(
            before, [&](const std::string& old) { return prefix.starts_with(old); });
        if (!was_private) found.push_back(prefix);
    }
    return found;
}

std::optional<storage::NewJob> hidden_prefix_purge(const conf::Settings& settings,
                                                   std::span<const storage::KnownPool> pools,
                                                   std::span<const std::string> prefixes,
                                                   std::int64_t now_s) {
    if (settings.purge.zone_id.empty()) return std::nullopt;
    storage::VisitorPlaces places = storage::visitor_places(settings);
    for (const storage::KnownPool& pool : pools)
        storage::add_pool(places, pool.settings);
    std::vector<std::string> folders;
    for (const std::string& prefix : prefixes)
        add_folders(settings, prefix, folders);
    std::set<std::string> named;
    for (const storage::VisitorUrl& url : storage::visitor_urls(places, folders))
        named.insert(storage::edge_prefix(url.url));
    if (named.empty()) return std::nullopt;
    const storage::PurgeWish wish{.prefixes = {named.begin(), named.end()}};
    return storage::takedown_job(wish, settings, now_s);
}

}  // namespace tidepool::serve
