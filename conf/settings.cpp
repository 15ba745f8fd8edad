#include "conf/settings.h"

#include <utility>

namespace tidepool::conf {

namespace {

CacheControlRule rule(std::vector<std::string> status, std::string cache_control) {
    CacheControlRule made;
    made.status = std::move(status);
    made.cache_control = std::move(cache_control);
    return made;
}

// A UUID names one content for ever. The edge is told a shorter time of its own, with the stale
// serving that s-maxage would switch off (contracts: cloudflare.md 3.4).
CacheControlRule uuid_rule() {
    CacheControlRule made = rule({"200"}, "public, max-age=31536000, immutable");
    made.uuid_named = true;
    made.cloudflare_cdn_cache_control =
        "max-age=2592000, stale-while-revalidate=86400, stale-if-error=604800";
    return made;
}

}  // namespace

std::vector<CacheControlRule> default_cache_control() {
    return {
        rule({"5xx"}, "no-store"),
        uuid_rule(),
        rule({"200"}, "public, max-age=300"),
        rule({"302"}, "public, max-age=300"),
        rule({"404", "410"}, "public, max-age=60"),
        rule({}, "no-store"),
    };
}

}  // namespace tidepool::conf
