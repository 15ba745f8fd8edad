#include "proxy/serve/cache_policy.h"

#include "conf/directives.h"
#include "conf/lifetime_advice.h"
#include "storage/key.h"
#include "transform/content_type.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

bool status_matches(const std::vector<std::string>& patterns, int status) {
    const std::string code = std::to_string(status);
    return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& pattern) {
               return pattern == code ||
                      (pattern.ends_with("xx") && pattern.front() == code.front());
           });
}

bool rule_matches(const conf::CacheControlRule& rule, std::string_view key, int status,
                  std::string_view content_type) {
    if (!key.starts_with(rule.prefix) || !status_matches(rule.status, status)) return false;
    if (!rule.content_type.empty() && !transform::type_matches(content_type, rule.content_type))
        return false;
    return !rule.uuid_named || storage::is_uuid_named(key);
}

// By the header that decides at the edge (contracts: cloudflare.md 3.4).
bool is_for_shared_caches(const conf::CacheControlRule& rule) {
    const std::string& value = !rule.cloudflare_cdn_cache_control.empty()
                                   ? rule.cloudflare_cdn_cache_control
                               : !rule.cdn_cache_control.empty() ? rule.cdn_cache_control
                                                                 : rule.cache_control;
    return !conf::has_directive(value, "no-store") && !conf::has_directive(value, "private");
}

}  // namespace

CachePolicy::CachePolicy(std::vector<conf::CacheControlRule> rules, CacheTags tags)
    : tags_(std::move(tags)) {
    rules_.reserve(rules.size());
    for (conf::CacheControlRule& rule : rules) {
        const bool is_shared = is_for_shared_caches(rule);
        rules_.push_back({std::move(rule), is_shared});
    }
}

const CachePolicy::Rule* CachePolicy::rule_for(std::string_view key, int status,
                                               std::string_view content_type) const {
    if (conf::is_kept_by_nobody(status)) return nullptr;
    const int ruled_as = status == 206 || status == 304 ? 200 : status;
    const auto found = std::ranges::find_if(rules_, [&](const Rule& each) {
        return rule_matches(each.rule, key, ruled_as, content_type);
    });
    return found == rules_.end() ? nullptr : &*found;
}

std::string_view CachePolicy::cache_control(std::string_view key, int status,
                                            std::string_view content_type) const {
    const Rule* found = rule_for(key, status, content_type);
    return found == nullptr ? "no-store" : std::string_view(found->rule.cache_control);
}

std::string CachePolicy::tag_line(const CacheTags::Subject& subject, int status,
                                  std::string_view content_type) const {
    const Rule* found = rule_for(subject.key, status, content_type);
    return found != nullptr && found->is_shared ? tags_.line(subject) : std::string();
}

std::string CachePolicy::lines(std::string_view key, int status,
                               std::string_view content_type) const {
    const Rule* found = rule_for(key, status, content_type);
    if (found == nullptr) return std::string(kNoStore);
    const conf::CacheControlRule* const rule = &found->rule;
    std::string lines = fmt::format("Cache-Control: {}\r\n", rule->cache_control);
    if (!rule->cdn_cache_control.empty())
        lines += fmt::format("CDN-Cache-Control: {}\r\n", rule->cdn_cache_control);
    if (!rule->cloudflare_cdn_cache_control.empty())
        lines +=
            fmt::format("Cloudflare-CDN-Cache-Control: {}\r\n", rule->cloudflare_cdn_cache_control);
    return lines;
}

}  // namespace tidepool::serve
