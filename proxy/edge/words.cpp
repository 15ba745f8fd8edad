#include "proxy/edge/words.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

constexpr std::array<std::pair<std::int64_t, const char*>, 5> kSpans{
    {{31536000, "year"}, {86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}}};

std::string counted(std::int64_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string stale_words(const EdgePlan& plan) {
    const bool asks = plan.stale_while_revalidate_s > 0;
    const bool fails = plan.stale_if_error_s > 0;
    if (!asks && !fails) return {};
    std::string words = ", then serves it stale";
    if (asks)
        words += fmt::format(" for {} while it asks again",
                             duration_words(plan.stale_while_revalidate_s));
    if (fails)
        words += fmt::format("{} for {} where the origin fails", asks ? " and" : "",
                             duration_words(plan.stale_if_error_s));
    return words;
}

}  // namespace

std::string duration_words(std::int64_t seconds) {
    std::size_t first = 0;
    while (first + 1 < kSpans.size() && seconds < kSpans.at(first).first)
        ++first;
    const auto [unit, name] = kSpans.at(first);
    std::string words = counted(seconds / unit, name);
    std::int64_t rest = seconds % unit;
    if (rest == 0) return words;
    const auto [next_unit, next_name] = kSpans.at(first + 1);
    if (rest >= next_unit) words += " " + counted(rest / next_unit, next_name);
    rest %= next_unit;
    return rest == 0 ? words : "about " + words;
}

std::string edge_words(const EdgePlan& plan) {
    if (!plan.stores) return "the edge stores nothing and asks the origin at every request";
    if (plan.revalidates_always)
        return "the edge stores it and asks the origin again before each use" + stale_words(plan);
    return "the edge stores it for " + duration_words(plan.ttl_s.value_or(0)) + stale_words(plan);
}

std::string browser_words(const BrowserPlan& plan) {
    if (!plan.stores) return "browsers do not keep it";
    std::string words = "browsers keep it";
    if (plan.revalidates_always) {
        words += " and ask again before each use";
    } else if (!plan.ttl_s) {
        words += " for as long as they guess";
    } else {
        words += " for " + duration_words(*plan.ttl_s);
        if (plan.is_immutable) words += " and never ask again";
    }
    if (plan.stale_while_revalidate_s > 0)
        words += fmt::format(", then use it for {} more while they ask",
                             duration_words(plan.stale_while_revalidate_s));
    return words;
}

}  // namespace tidepool::edge
