#include "conf/purge_advice.h"

#include "conf/host_pattern.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

bool purges_by_urls_alone(const Settings& settings) {
    using By = PurgeSettings::By;
    const auto& tags = settings.edge.cache_tags;
    const bool has_tag = std::ranges::find(tags, "image") != tags.end();
    return settings.purge.by == By::urls || (settings.purge.by == By::automatic && !has_tag);
}

std::string advice_of_tags(const Settings& settings) {
    return settings.purge.by == PurgeSettings::By::urls
               ? "write by = \"auto\""
               : "write cache_tags = [\"image\"] in [edge]";
}

std::vector<std::string> named_in_urls(const Settings& settings) {
    std::vector<std::string> urls = settings.purge.hosts;
    urls.push_back(settings.upload.public_base_url);
    for (const PoolSettings& pool : settings.pools)
        urls.push_back(pool.public_base_url);
    std::vector<std::string> names = zone_names(settings.edge.hosts);
    for (const std::string_view url : urls) {
        const std::size_t scheme = url.find("://");
        if (scheme == url.npos) continue;
        const std::string_view rest = url.substr(scheme + 3);
        names.emplace_back(host_of_authority(rest.substr(0, rest.find('/'))));
    }
    return names;
}

}  // namespace

Findings find_doubtful_purges(const Settings& settings) {
    Findings findings;
    if (settings.purge.zone_id.empty() || !purges_by_urls_alone(settings)) return findings;
    const PrivateSettings& hidden = settings.private_images;
    if (hidden.edge_checks && !hidden.signing_key.empty()) {
        findings.push_back(
            {{"purge.by", "private.edge_checks"},
             fmt::format("the edge keeps answers to signed URLs, which purges by URL do not reach: "
                         "what is deleted stays there; {}",
                         advice_of_tags(settings))});
    }
    const std::vector<std::string> names = named_in_urls(settings);
    std::size_t number = 0;
    for (const std::string& pattern : settings.edge.hosts) {
        ++number;
        const HostPatterns below({pattern});
        if (!pattern.starts_with('*') ||
            std::ranges::any_of(names, [&](const auto& name) { return below.match(name); }))
            continue;
        findings.push_back(
            {{fmt::format("edge.hosts[{}]", number), "purge.by"},
             fmt::format("no URL of \"{}\" is purged, as no host is known that it stands for: name "
                         "those that visitors use in purge.hosts, or {}",
                         pattern, advice_of_tags(settings))});
    }
    return findings;
}

}  // namespace tidepool::conf
