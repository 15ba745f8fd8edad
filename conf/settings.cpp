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

VariantProfile thumbnails(std::string name, unsigned width) {
    VariantProfile made;
    made.name = std::move(name);
    made.width = width;
    return made;
}

}  // namespace

std::vector<VariantProfile> default_profiles() {
    VariantProfile full;
    full.formats = {"webp", "avif"};
    full.at_upload = full.formats;
    full.not_of = {"gif", "avif"};
    return {full, thumbnails("small", 200), thumbnails("medium", 500)};
}

std::vector<std::string> default_hotlink_exceptions() {
    return {
        // Search. A star stands for no country, so these are the largest.
        "google.com",
        "*.google.com",
        "www.google.de",
        "www.google.fr",
        "www.google.it",
        "www.google.es",
        "www.google.pl",
        "www.google.nl",
        "www.google.ca",
        "www.google.co.uk",
        "www.google.co.in",
        "www.google.co.jp",
        "www.google.com.br",
        "www.google.com.mx",
        "www.google.com.au",
        "bing.com",
        "*.bing.com",
        "duckduckgo.com",
        "*.duckduckgo.com",
        "yandex.ru",
        "*.yandex.ru",
        "yandex.com",
        "*.yandex.com",
        "*.search.yahoo.com",
        "*.baidu.com",
        "www.ecosia.org",
        "www.qwant.com",
        "www.startpage.com",
        "search.brave.com",
        // Translators and web caches.
        "*.translate.goog",
        "translate.googleusercontent.com",
        "webcache.googleusercontent.com",
        "*.microsofttranslator.com",
        "translated.turbopages.org",
        "web.archive.org",
        // Mail in a browser, where the sender's images are shown.
        "outlook.live.com",
        "outlook.office.com",
        "mail.yahoo.com",
        "mail.proton.me",
        // Previews of links.
        "*.facebook.com",
        "t.co",
        "x.com",
        "twitter.com",
        "*.linkedin.com",
        "*.pinterest.com",
        "www.reddit.com",
        "discord.com",
        "*.slack.com",
        "web.telegram.org",
        "web.whatsapp.com",
    };
}

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
