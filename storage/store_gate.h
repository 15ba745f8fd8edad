// What stands before every call to a store: one for each pool, shared by all who call it, the
// driver on its threads and the proxy on its loops.
#pragma once

#include "conf/error.h"
#include "storage/breaker.h"
#include "storage/budget.h"
#include "storage/s3_errors.h"

#include <cstdint>
#include <string_view>

namespace tidepool::storage {

struct StoreGate {
    explicit StoreGate(const conf::PoolSettings& settings, const BreakerLimits& limits = {})
        : reads(limits), writes(limits), budget(settings) {}

    // To be asked before each call, about the breaker of its kind. An error is the refusal, which
    // costs nothing: what the breaker stops does not count against the day, and what the budget
    // stops leaves the breaker's probe to others. Else the call must be reported to the breaker.
    // `now` as for Breaker, `wall_s` as for Budget.
    Result<void> pass(Breaker& breaker, const StoreCall& call, CallClass price, Breaker::Time now,
                      std::int64_t wall_s);

    // Counts bytes that came from the store.
    void add_egress(std::string_view pool, std::uint64_t bytes, std::int64_t wall_s);

    // Apart, as a cap on uploads leaves what is stored readable.
    Breaker reads;
    Breaker writes;
    Budget budget;
};

}  // namespace tidepool::storage
