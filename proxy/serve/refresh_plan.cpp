#include "proxy/serve/refresh_plan.h"

#include <algorithm>
#include <cstdint>

namespace tidepool::serve {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds kFirstWait = 1s;
constexpr milliseconds kMostWait = 60s;
constexpr milliseconds kMostWaitForPeople = 300s;
constexpr double kEarliestRenewal = 1.0 / 2;  // parts of a lifetime
constexpr double kLatestRenewal = 2.0 / 3;

milliseconds part_of(milliseconds whole, double part) {
    return milliseconds(static_cast<milliseconds::rep>(static_cast<double>(whole.count()) * part));
}

}  // namespace

RefreshPlan::Time RefreshPlan::due(bool wanted) const {
    Time due = wanted ? not_before_ : std::max(not_before_, renew_at_);
    if (begun_.size() >= kMostAMinute) due = std::max(due, begun_.front() + 1min);
    return due;
}

void RefreshPlan::began(Time now) {
    begun_.push_back(now);
    if (begun_.size() > kMostAMinute) begun_.pop_front();
}

void RefreshPlan::succeeded(Time begun, std::chrono::seconds lifetime) {
    const double part = kEarliestRenewal + random_() * (kLatestRenewal - kEarliestRenewal);
    renew_at_ = begun + part_of(lifetime, part);
    not_before_ = Time::min();
    failures_ = 0;
}

void RefreshPlan::failed(Time now, const Error& error) {
    constexpr unsigned kMostDoublings = 20;  // a shift that cannot overflow
    const milliseconds most = error.may_retry() ? kMostWait : kMostWaitForPeople;
    const milliseconds bound =
        std::min(most, kFirstWait * (std::int64_t{1} << std::min(failures_, kMostDoublings)));
    ++failures_;
    milliseconds wait = part_of(bound, (1 + random_()) / 2);
    if (error.store) wait = std::max(wait, std::min<milliseconds>(error.store->retry_after, most));
    not_before_ = now + wait;
}

}  // namespace tidepool::serve
