#include "proxy/serve/cache_policy.h"

#include "storage/key.h"
#include "transform/content_type.h"

#include <algorithm>

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

}  // namespace

const conf::CacheControlRule* CachePolicy::rule_for(std::string_view key, int status,
                                                    std::string_view content_type) const {
    const int ruled_as = status == 206 || status == 304 ? 200 : status;
    const auto found = std::ranges::find_if(rules_, [&](const conf::CacheControlRule& rule) {
        return rule_matches(rule, key, ruled_as, content_type);
    });
    return found == rules_.end() ? nullptr : &*found;
}

std::string_view CachePolicy::cache_control(std::string_view key, int status,
                                            std::string_view content_type) const {
    const conf::CacheControlRule* rule = rule_for(key, status, content_type);
    return rule == nullptr ? "no-store" : std::string_view(rule->cache_control);
}

std::string CachePolicy::lines(std::string_view key, int status,
                               std::string_view content_type) const {
    const conf::CacheControlRule* rule = rule_for(key, status, content_type);
    if (rule == nullptr) return "Cache-Control: no-store\r\n";
    std::string lines = fmt::format("Cache-Control: {}\r\n", rule->cache_control);
    if (!rule->cdn_cache_control.empty())
        lines += fmt::format("CDN-Cache-Control: {}\r\n", rule->cdn_cache_control);
    if (!rule->cloudflare_cdn_cache_control.empty())
        lines +=
            fmt::format("Cloudflare-CDN-Cache-Control: {}\r\n", rule->cloudflare_cdn_cache_control);
    return lines;
}

}  // namespace tidepool::serve
