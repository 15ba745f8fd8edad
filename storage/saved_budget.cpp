#include "storage/saved_budget.h"

#include <utility>

namespace tidepool::storage {

namespace {

DayUse difference(const BudgetUse& now, const BudgetUse& before) {
    const auto more = [&](std::size_t item) { return now.used[item] - before.used[item]; };
    return {.class_a_calls = static_cast<std::int64_t>(more(0)),
            .class_b_calls = static_cast<std::int64_t>(more(1)),
            .class_c_calls = static_cast<std::int64_t>(more(2)),
            .egress_bytes = more(kEgressItem)};
}

BudgetUse budget_use(std::int64_t day, const DayUse& use) {
    BudgetUse result;
    result.day = day;
    result.used = {static_cast<std::uint64_t>(use.class_a_calls),
                   static_cast<std::uint64_t>(use.class_b_calls),
                   static_cast<std::uint64_t>(use.class_c_calls), use.egress_bytes};
    return result;
}

}  // namespace

SavedBudget::SavedBudget(Catalog& catalog, PoolId pool, std::shared_ptr<StoreGate> gate)
    : catalog_(catalog), pool_(pool), gate_(std::move(gate)) {}

Result<void> SavedBudget::exchange(std::int64_t now_s) {
    const std::lock_guard lock(mutex_);
    const BudgetUse current = gate_->budget.use(now_s);
    if (known_.day != current.day) {  // yesterday's last calls are let go
        known_ = {};
        known_.day = current.day;
    }
    const auto sum = catalog_.add_budget_use(pool_, current.day, difference(current, known_));
    if (!sum) return std::unexpected(sum.error());
    const BudgetUse all = budget_use(current.day, *sum);
    BudgetUse others = all;
    for (std::size_t item = 0; item < kBudgetItems; ++item)
        others.used[item] -= current.used[item];
    gate_->budget.restore(others, now_s);
    known_ = all;
    return {};
}

}  // namespace tidepool::storage
