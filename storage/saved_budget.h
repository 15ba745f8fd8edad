// A pool's budget that outlives the process and counts what all processes use.
#pragma once

#include "storage/catalog.h"
#include "storage/store_gate.h"

#include <cstdint>
#include <memory>
#include <mutex>

namespace tidepool::storage {

// Any thread; the catalog must outlive it.
class SavedBudget {
  public:
    SavedBudget(Catalog& catalog, PoolId pool, std::shared_ptr<StoreGate> gate);

    // Writes what was used since the last time and takes in what others used meanwhile and, the
    // first time, before. `now_s` is in seconds since 1970. Blocks; to be called at the start, at
    // the end, and in between as often as it may be forgotten: what was used since the last time is
    // lost with the process.
    Result<void> exchange(std::int64_t now_s);

  private:
    Catalog& catalog_;
    PoolId pool_;
    std::shared_ptr<StoreGate> gate_;
    std::mutex mutex_;
    BudgetUse known_;  // what the catalog had when we last looked; of today our budget had it too
};

}  // namespace tidepool::storage
