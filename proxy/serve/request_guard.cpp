#include "proxy/serve/request_guard.h"

#include "conf/ascii.h"
#include "proxy/serve/edge.h"
#include "proxy/serve/referer.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace tidepool::serve {

namespace {

void add_host_of(const std::string& url, std::vector<std::string>& hosts) {
    const Referer page = read_referer(url);
    if (page.kind == Referer::Kind::page) hosts.emplace_back(page.host);
}

// The pages of these are never others'.
std::vector<std::string> allowed_hosts(const conf::Settings& settings,
                                       std::span<const storage::KnownPool> pools) {
    std::vector<std::string> hosts = settings.hotlink.allowed_hosts;
    hosts.insert(hosts.end(), settings.edge.hosts.begin(), settings.edge.hosts.end());
    add_host_of(settings.upload.public_base_url, hosts);
    add_host_of(settings.upload.view_url, hosts);
    for (const storage::KnownPool& pool : pools)
        add_host_of(pool.settings.public_base_url, hosts);
    return hosts;
}

bool is_same_host(std::string_view one, std::string_view other) {
    return std::ranges::equal(
        one, other, {}, [](char c) { return conf::lower_case(c); },
        [](char c) { return conf::lower_case(c); });
}

// What a bucket belongs to: an address of IPv4, or a /64 of IPv6 (see conf::client_network).
RateKey key_of_client(const conf::IpAddress& client, std::uint64_t rule) {
    // The families do not meet, whatever the bits of an address.
    const bool is_v4 = client.is_v4();
    RateKey key{.what = (rule & ~std::uint64_t{1}) | (is_v4 ? 1U : 0U)};
    const auto half = client.bytes.begin() + (is_v4 ? 8 : 0);
    std::memcpy(&key.who, &*half, sizeof key.who);
    return key;
}

}  // namespace

std::shared_ptr<RateLimiter> GuardMemory::buckets(std::size_t most) {
    const std::lock_guard lock(mutex_);
    if (!buckets_ || buckets_->most_buckets() != RateLimiter::room_for(most))
        buckets_ = std::make_shared<RateLimiter>(most);
    return buckets_;
}

std::shared_ptr<GuardMemory::OfRule> GuardMemory::of_rule(const std::string& prefix) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<OfRule>& rule = rules_[prefix];
    if (!rule) rule = std::make_shared<OfRule>();
    return rule;
}

GuardMemory::Usage GuardMemory::usage(std::uint64_t now_ms) const {
    Usage usage;
    usage.hotlinks = hotlinks_.load(std::memory_order_relaxed);
    std::shared_ptr<RateLimiter> buckets;
    {
        const std::lock_guard lock(mutex_);
        buckets = buckets_;
        for (const auto& [prefix, rule] : rules_)
            usage.over_rate.emplace_back(prefix, rule->refused.load(std::memory_order_relaxed));
    }
    if (!buckets) return usage;
    usage.buckets = buckets->size(now_ms);
    usage.evictions = buckets->evictions();
    return usage;
}

std::shared_ptr<const RequestGuard> RequestGuard::of(const conf::Settings& settings,
                                                     std::span<const storage::KnownPool> pools,
                                                     const std::shared_ptr<GuardMemory>& memory) {
    if (settings.hotlink.allowed_hosts.empty() && settings.rate_limit.empty()) return nullptr;
    return std::make_shared<const RequestGuard>(settings, pools, memory);
}

RequestGuard::RequestGuard(const conf::Settings& settings,
                           std::span<const storage::KnownPool> pools,
                           std::shared_ptr<GuardMemory> memory)
    : memory_(std::move(memory)),
      checks_referer_(!settings.hotlink.allowed_hosts.empty()),
      allows_empty_(settings.hotlink.allow_empty),
      hotlink_prefixes_(settings.hotlink.prefixes),
      allowed_(allowed_hosts(settings, pools)),
      exceptions_(settings.hotlink.exceptions),
      client_header_(settings.edge.client_address_header) {
    for (const conf::RateLimitRule& rule : settings.rate_limit) {
        const unsigned burst = rule.burst == 0 ? rule.requests : rule.burst;
        rules_.push_back({rule.prefix, RateLimit::of(rule.requests, rule.per, burst),
                          RateKey::of(rule.prefix).what, memory_->of_rule(rule.prefix)});
    }
    std::ranges::sort(rules_, std::greater{}, [](const Rule& rule) { return rule.prefix.size(); });
    if (!rules_.empty()) buckets_ = memory_->buckets(settings.rate_limits.table);
}

std::optional<RequestGuard::Refusal> RequestGuard::judge(const http::RequestHead& head,
                                                         const http::Peer& peer,
                                                         std::string_view key,
                                                         std::uint64_t now_ms) const {
    if (checks_referer_ && is_hotlink(head, key)) {
        memory_->count_hotlink();
        return Refusal{.status = 403, .text = "not for this site's pages"};
    }
    const Rule* const rule = rule_for(key);
    return rule == nullptr ? std::nullopt : limit(*rule, head, peer, now_ms);
}

bool RequestGuard::is_hotlink(const http::RequestHead& head, std::string_view key) const {
    const auto begins_key = [key](const std::string& prefix) { return key.starts_with(prefix); };
    if (!hotlink_prefixes_.empty() && std::ranges::none_of(hotlink_prefixes_, begins_key))
        return false;
    if (head.count(http::Known::referer) > 1) return true;
    const Referer referer = read_referer(head.single(http::Known::referer));
    if (referer.kind == Referer::Kind::none) return !allows_empty_;
    if (referer.kind == Referer::Kind::malformed) return true;
    const std::string_view host = conf::host_of_authority(head.single(http::Known::host));
    return !is_same_host(referer.host, host) && !allowed_.match(referer.host) &&
           !exceptions_.match(referer.host);
}

const RequestGuard::Rule* RequestGuard::rule_for(std::string_view key) const {
    const auto found = std::ranges::find_if(
        rules_, [key](const Rule& rule) { return key.starts_with(rule.prefix); });
    return found == rules_.end() ? nullptr : &*found;
}

std::optional<RequestGuard::Refusal> RequestGuard::limit(const Rule& rule,
                                                         const http::RequestHead& head,
                                                         const http::Peer& peer,
                                                         std::uint64_t now_ms) const {
    const auto named = named_client(head, peer, client_header_);
    // An address of the edge is that of all its visitors, and a unix socket has none.
    if (!named && (peer.trusted || peer.is_unix)) return std::nullopt;
    const auto wait_s = buckets_->refuse_for(key_of_client(named.value_or(peer.address), rule.id),
                                             rule.limit, now_ms);
    if (!wait_s) return std::nullopt;
    rule.counted->refused.fetch_add(1, std::memory_order_relaxed);
    return Refusal{.status = 429, .text = "too many requests", .retry_s = *wait_s};
}

}  // namespace tidepool::serve
