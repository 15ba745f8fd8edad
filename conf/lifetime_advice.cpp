#include "conf/lifetime_advice.h"

#include "conf/directives.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

constexpr std::array kOfTheRequest{401, 403, 405, 407, 408, 409, 412, 413, 414,
                                   416, 417, 421, 422, 425, 426, 428, 429, 431};
constexpr std::array<std::string_view, 2> kStale{"stale-while-revalidate", "stale-if-error"};
constexpr std::array<std::string_view, 5> kNoStale{"s-maxage", "must-revalidate",
                                                   "proxy-revalidate", "no-cache", "no-store"};

void find_void_stale(const std::string& value, const std::string& key, Findings& findings) {
    if (value.empty()) return;
    for (const std::string_view stale : kStale) {
        const auto in_force = std::ranges::find_if(
            kNoStale, [&](std::string_view each) { return has_directive(value, each); });
        if (!has_directive(value, stale) || in_force == kNoStale.end()) continue;
        findings.push_back(
            {{key},
             fmt::format("{} does nothing at the edge beside {}{}", stale, *in_force,
                         *in_force == "s-maxage"
                             ? ": write both into cloudflare_cdn_cache_control, with max-age"
                             : "")});
    }
}

void find_void_statuses(const CacheControlRule& rule, const std::string& key, Findings& findings) {
    if (has_directive(rule.cache_control, "no-store")) return;
    for (const std::string& status : rule.status) {
        int number = 0;  // of a class: its first digit
        std::from_chars(status.data(), status.data() + status.size(), number);
        if (number < 400 || number >= 500 || !is_kept_by_nobody(number)) continue;
        findings.push_back(
            {{key},
             fmt::format("{} is no-store whatever a rule says, as the next who asks may get "
                         "another answer",
                         status)});
    }
}

}  // namespace

bool is_kept_by_nobody(int status) {
    return status >= 500 || std::ranges::find(kOfTheRequest, status) != kOfTheRequest.end();
}

Findings find_doubtful_lifetimes(const Settings& settings) {
    using Rule = CacheControlRule;
    const std::pair<std::string_view, std::string Rule::*> headers[] = {
        {"cache_control", &Rule::cache_control},
        {"cdn_cache_control", &Rule::cdn_cache_control},
        {"cloudflare_cdn_cache_control", &Rule::cloudflare_cdn_cache_control},
    };
    Findings findings;
    std::size_t number = 0;
    for (const Rule& rule : settings.cache_control) {
        const std::string name = fmt::format("cache_control[{}]", ++number);
        for (const auto& [key, member] : headers)
            find_void_stale(rule.*member, fmt::format("{}.{}", name, key), findings);
        find_void_statuses(rule, name + ".status", findings);
    }
    return findings;
}

}  // namespace tidepool::conf
