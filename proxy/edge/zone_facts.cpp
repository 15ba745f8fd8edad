#include "proxy/edge/zone_facts.h"

#include "conf/ascii.h"
#include "conf/host_pattern.h"
#include "proxy/edge/directive_list.h"
#include "storage/visitor_urls.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

using PoolType = conf::PoolSettings::Type;

void add_once(std::vector<std::string>& list, std::string text) {
    if (!text.empty() && std::ranges::find(list, text) == list.end())
        list.push_back(std::move(text));
}

// A zone has names, no addresses.
bool is_zone_name(std::string_view host) {
    return !host.empty() && host.front() != '[' &&
           host.find_first_not_of("0123456789.") != host.npos;
}

void find_hosts(const conf::Settings& settings, const std::vector<std::string>& more_hosts,
                ZoneFacts& facts) {
    std::vector<std::string> named = settings.edge.hosts;
    named.push_back(host_of_url(settings.upload.public_base_url));
    for (const std::string& base : settings.purge.hosts)
        named.push_back(host_of_url(base));
    named.insert(named.end(), more_hosts.begin(), more_hosts.end());
    for (const std::string& host : named) {
        if (is_zone_name(host)) add_once(facts.hosts, conf::lower_case(host));
    }
    if (facts.hosts.empty())
        facts.notes.push_back(
            "no host of ours is known, so there are no rules for one: set edge.hosts, or give "
            "--host");
}

bool is_ours(const ZoneFacts& facts, std::string_view host) {
    return conf::HostPatterns(facts.hosts).match(host);
}

// Which pool is had by a host of its own, past us.
void find_direct(const std::vector<conf::PoolSettings>& pools, ZoneFacts& facts) {
    for (const conf::PoolSettings& pool : pools) {
        if (pool.storage_type != PoolType::s3 || !pool.is_active) continue;
        const std::string host = conf::lower_case(host_of_url(pool.public_base_url));
        if (host.empty() || is_ours(facts, host)) continue;
        const auto note = [&](std::string_view why) {
            facts.notes.push_back(
                fmt::format("pool {}: no rules for {}: {}", pool.name, host, why));
        };
        if (pool.download_url.empty()) {
            note("download_url, the friendly host of its bucket, is not set");
        } else if (pool.is_private()) {
            note("its images are private, and no bucket checks signatures");
        } else if (std::ranges::find(facts.direct, host, &DirectHost::host) != facts.direct.end()) {
            note("another pool has this host, and a host has one bucket");
        } else {
            facts.direct.push_back({.host = host,
                                    .pool = pool.name,
                                    .bucket = pool.bucket,
                                    .path_prefix = pool.path_prefix,
                                    .upstream = host_of_url(pool.download_url)});
        }
    }
}

// As cli::Instance has its shapes of URLs: of pools that are served now.
void find_paths(const conf::Settings& settings, const std::vector<conf::PoolSettings>& pools,
                ZoneFacts& facts) {
    std::vector<std::string> buckets;
    for (const conf::PoolSettings& pool : pools) {
        if (pool.storage_type == PoolType::s3 && pool.is_active) buckets.push_back(pool.bucket);
    }
    facts.url_prefix = settings.server.url_prefix;
    facts.paths = storage::image_paths(facts.url_prefix, buckets);
    facts.roots = {"/"};
    for (const std::string& bucket : buckets)
        add_once(facts.roots, storage::root_of_bucket(bucket));
}

// What a variant's key begins with where its original's begins with `prefix`, which makes it as
// private (serve/private_access.h); "" where that says nothing of variants.
std::string prefix_of_variants(std::string_view prefix) {
    constexpr std::string_view kOriginals = "original/";
    const bool is_whole = prefix.starts_with(kOriginals);
    const std::size_t slash = is_whole ? prefix.npos : prefix.find("/original/");
    if (is_whole || slash != prefix.npos) {
        const std::size_t begin = slash + 1;  // 0 where it is the first folder
        const std::string_view rest = prefix.substr(begin + kOriginals.size());
        const std::size_t name = rest.rfind('/') + 1;  // 0 where there is no further folder
        return fmt::format("{}variants/{}", prefix.substr(0, begin),
                           rest.substr(0, rest.find('.', name)));
    }
    const std::size_t folder = prefix.rfind('/') + 1;
    const std::string_view begun = prefix.substr(folder);
    if (begun.empty() || !kOriginals.starts_with(begun)) return "";
    return fmt::format("{}variants/", prefix.substr(0, folder));
}

void find_private(const conf::PrivateSettings& settings, ZoneFacts& facts) {
    for (const std::string& prefix : settings.prefixes) {
        add_once(facts.private_prefixes, prefix);
        add_once(facts.private_prefixes, prefix_of_variants(prefix));
    }
    facts.private_ttl_s = std::chrono::duration_cast<std::chrono::seconds>(settings.ttl).count();
    facts.edge_checks = settings.edge_checks;
    facts.has_previous_key = !settings.signing_key_previous.empty();
    if (!settings.signing_key.empty())
        facts.secrets.push_back({"private.signing_key", settings.signing_key});
    if (facts.has_previous_key)
        facts.secrets.push_back({"private.signing_key_previous", settings.signing_key_previous});
}

HotlinkFacts hotlink_facts(const conf::HotlinkSettings& hotlink) {
    return {.allowed_hosts = hotlink.allowed_hosts,
            .prefixes = hotlink.prefixes,
            .exceptions = hotlink.exceptions,
            .allow_empty = hotlink.allow_empty};
}

std::vector<RateFacts> rate_facts(const std::vector<conf::RateLimitRule>& rules) {
    std::vector<RateFacts> rates;
    for (const conf::RateLimitRule& rule : rules)
        rates.push_back({.prefix = rule.prefix,
                         .requests = rule.requests,
                         .per_s = rule.per / std::chrono::seconds(1),
                         .burst = rule.burst});
    return rates;
}

bool is_of_images(const conf::CacheControlRule& rule) {
    const bool is_good = rule.status.empty() || std::ranges::any_of(rule.status, [](auto& status) {
                             return status == "200" || status == "2xx";
                         });
    return is_good && (rule.content_type.empty() || rule.content_type.starts_with("image/")) &&
           (rule.prefix.empty() || rule.uuid_named);
}

// What we say of an image by its UUID, so that a bucket's own host says the same.
void find_lifetimes(const conf::Settings& settings, ZoneFacts& facts) {
    const auto rule = std::ranges::find_if(settings.cache_control, is_of_images);
    if (rule == settings.cache_control.end()) return;
    facts.cache_control = rule->cache_control;
    for (const std::string& value :
         {rule->cloudflare_cdn_cache_control, rule->cdn_cache_control, rule->cache_control}) {
        if (value.empty()) continue;
        const DirectiveList control = DirectiveList::parse(value);
        const auto shared = control.seconds("s-maxage");
        facts.edge_ttl_s = (shared ? shared : control.seconds("max-age")).value_or(0);
        return;
    }
}

}  // namespace

std::string host_of_url(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == url.npos) return "";
    const std::string_view rest = url.substr(scheme + 3);
    return std::string(conf::host_of_authority(rest.substr(0, rest.find_first_of("/?#"))));
}

ZoneFacts zone_facts(const conf::Settings& settings, const std::vector<conf::PoolSettings>& pools,
                     const std::vector<std::string>& more_hosts) {
    ZoneFacts facts;
    find_hosts(settings, more_hosts, facts);
    find_direct(pools, facts);
    find_paths(settings, pools, facts);
    facts.secret_header = settings.edge.secret_header;
    if (!facts.secret_header.empty())
        facts.secrets.push_back({"edge.secret", settings.edge.secret});
    facts.wants_certificate = !settings.edge.client_ca_files.empty();
    facts.speaks_tls = !settings.tls.listen.empty();
    find_private(settings.private_images, facts);
    facts.hotlink = hotlink_facts(settings.hotlink);
    facts.rates = rate_facts(settings.rate_limit);
    facts.site_hosts = facts.hosts;
    for (const DirectHost& direct : facts.direct)
        add_once(facts.site_hosts, direct.host);
    add_once(facts.site_hosts, conf::lower_case(host_of_url(settings.upload.view_url)));
    find_lifetimes(settings, facts);
    return facts;
}

}  // namespace tidepool::edge
