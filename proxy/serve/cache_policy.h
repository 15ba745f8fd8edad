// Which lifetime headers an answer gets, and by which tags it is forgotten. Pure.
#pragma once

#include "conf/settings.h"
#include "proxy/serve/cache_tags.h"

#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// For answers whose lifetime is no matter of the configuration.
inline constexpr std::string_view kNoStore = "Cache-Control: no-store\r\n";
// Of a private image: for the browser that asked, and no cache between.
inline constexpr std::string_view kPrivateLifetime =
    "Cache-Control: private, max-age=60\r\nCDN-Cache-Control: no-store\r\n"
    "Cloudflare-CDN-Cache-Control: no-store\r\n";
// Beside it, where a rule at a cache might look at these alone.
inline constexpr std::string_view kNoStoreInCdns =
    "CDN-Cache-Control: no-store\r\nCloudflare-CDN-Cache-Control: no-store\r\n";

// The rules of the configuration, the first that matches deciding.
class CachePolicy {
  public:
    explicit CachePolicy(std::vector<conf::CacheControlRule> rules, CacheTags tags = {});

    // Header lines with their CRLF: Cache-Control and, where the rule sets them, CDN-Cache-Control
    // and Cloudflare-CDN-Cache-Control (contracts: cloudflare.md 3.4). `key` is "" for an answer
    // about no object. 206 and 304 follow the rule of 200. Where no rule matches, and
    // of statuses that nobody may keep (see conf::is_kept_by_nobody): no-store.
    std::string lines(std::string_view key, int status, std::string_view content_type) const;

    // The line of Cache-Tag with its CRLF, for an answer that the edge may store by these; "" for
    // any other.
    std::string tag_line(const CacheTags::Subject& subject, int status,
                         std::string_view content_type) const;

    // The value of Cache-Control alone, which is what a store can be told.
    std::string_view cache_control(std::string_view key, int status,
                                   std::string_view content_type) const;

  private:
    struct Rule {
        conf::CacheControlRule rule;
        bool is_shared;  // caches that serve many may store what it is for
    };
    const Rule* rule_for(std::string_view key, int status, std::string_view content_type) const;

    std::vector<Rule> rules_;
    CacheTags tags_;
};

}  // namespace tidepool::serve
