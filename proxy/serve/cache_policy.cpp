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

std::string CachePolicy::lines(std::string_view key, int status,
                               std::string_view content_type) const {
    const int ruled_as = status == 206 || status == 304 ? 200 : status;
    for (const conf::CacheControlRule& rule : rules_) {
        if (!rule_matches(rule, key, ruled_as, content_type)) continue;
        std::string lines = fmt::format("Cache-Control: {}\r\n", rule.cache_control);
        if (!rule.cdn_cache_control.empty()) {
            lines += fmt::format("CDN-Cache-Control: {}\r\n", rule.cdn_cache_control);
        }
        if (!rule.cloudflare_cdn_cache_control.empty()) {
            lines += fmt::format("Cloudflare-CDN-Cache-Control: {}\r\n",
                                 rule.cloudflare_cdn_cache_control);
        }
        return lines;
    }
    return "Cache-Control: no-store\r\n";
}

}  // namespace tidepool::serve
