// What stands before every call to a store: one for each pool, shared by all who call it, the
// driver on its threads and the proxy on its loops.
#pragma once

#include "storage/breaker.h"
#include "storage/budget.h"

namespace tidepool::storage {

struct StoreGate {
    explicit StoreGate(const conf::PoolSettings& settings, const BreakerLimits& limits = {})
        : reads(limits), writes(limits), budget(settings) {}

    // Apart, as a cap on uploads leaves what is stored readable.
    Breaker reads;
    Breaker writes;
    Budget budget;
};

}  // namespace tidepool::storage
