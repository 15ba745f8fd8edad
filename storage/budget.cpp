#include "storage/budget.h"

#include "conf/day_window.h"

namespace tidepool::storage {

namespace {

std::uint64_t soft_limit(std::uint64_t hard, unsigned percent) {
    // Divided first: a hard limit may be near 2^50, and its product with 100 still fits.
    return hard / 100 * percent + hard % 100 * percent / 100;
}

}  // namespace

Budget::Budget(const conf::PoolSettings& settings) {
    const std::array<std::uint64_t, kBudgetItems> hard{
        static_cast<std::uint64_t>(settings.daily_class_a_calls),
        static_cast<std::uint64_t>(settings.daily_class_b_calls),
        static_cast<std::uint64_t>(settings.daily_class_c_calls),
        settings.daily_egress_bytes,
    };
    for (std::size_t i = 0; i < kBudgetItems; ++i)
        limits_[i] = {soft_limit(hard[i], settings.budget_warning_percent), hard[i]};
}

void Budget::begin_day(std::int64_t now) const {
    const std::int64_t day = now / conf::kDayS;
    // A clock that is set back does not give a second budget.
    if (day > use_.day) use_ = {.day = day};
}

bool Budget::is_used_up(std::size_t item) const {
    return limits_[item].hard > 0 && use_.used[item] >= limits_[item].hard;
}

BudgetVerdict Budget::add(std::size_t item, std::uint64_t amount) {
    const std::uint64_t before = use_.used[item];
    use_.used[item] += amount;
    const Limit& limit = limits_[item];
    const bool crossed = limit.hard > 0 && before < limit.soft && use_.used[item] >= limit.soft;
    return crossed ? BudgetVerdict::warn : BudgetVerdict::ok;
}

BudgetVerdict Budget::take(CallClass call, std::int64_t now) {
    const auto item = static_cast<std::size_t>(call);
    const std::lock_guard lock(mutex_);
    begin_day(now);
    const bool no_egress = call == CallClass::b && is_used_up(kEgressItem);
    if (no_egress || is_used_up(item)) {
        ++use_.refused[no_egress ? kEgressItem : item];
        return BudgetVerdict::capped;
    }
    return add(item, 1);
}

BudgetVerdict Budget::add_egress(std::uint64_t bytes, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    begin_day(now);
    return add(kEgressItem, bytes);
}

std::chrono::seconds Budget::until_reset(std::int64_t now) {
    return std::chrono::seconds(conf::kDayS - now % conf::kDayS);
}

BudgetUse Budget::use(std::int64_t now) const {
    const std::lock_guard lock(mutex_);
    begin_day(now);
    return use_;
}

void Budget::restore(const BudgetUse& saved, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    begin_day(now);
    if (saved.day != use_.day) return;
    for (std::size_t i = 0; i < kBudgetItems; ++i) {
        use_.used[i] += saved.used[i];
        use_.refused[i] += saved.refused[i];
    }
}

}  // namespace tidepool::storage
