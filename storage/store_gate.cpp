#include "storage/store_gate.h"

#include "conf/log.h"

#include <chrono>

namespace tidepool::storage {

Result<void> StoreGate::pass(Breaker& breaker, const StoreCall& call, CallClass price,
                             Breaker::Time now, std::int64_t wall_s) {
    if (!breaker.allow(now)) {
        const auto after = std::chrono::ceil<std::chrono::seconds>(breaker.retry_after(now));
        return std::unexpected(breaker_refusal(call, after, breaker.is_capped()));
    }
    const BudgetVerdict verdict = budget.take(price, wall_s);
    if (verdict == BudgetVerdict::capped) {
        breaker.abandon();
        return std::unexpected(budget_refusal(call, Budget::until_reset(wall_s)));
    }
    if (verdict == BudgetVerdict::warn) {
        conf::log_warn("event=budget_soft_limit pool={} class={}", call.pool,
                       static_cast<char>('a' + static_cast<int>(price)));
    }
    return {};
}

void StoreGate::add_egress(std::string_view pool, std::uint64_t bytes, std::int64_t wall_s) {
    if (budget.add_egress(bytes, wall_s) == BudgetVerdict::warn)
        conf::log_warn("event=budget_soft_limit pool={} class=egress", pool);
}

}  // namespace tidepool::storage
