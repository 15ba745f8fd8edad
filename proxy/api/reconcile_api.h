// /api/admin/v1/reconcile: the catalog against what the pools hold, as jobs.
#pragma once

#include "proxy/api/api_answer.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"

#include <functional>
#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kReconcilePath = "/api/admin/v1/reconcile";

struct ReconcileMeans {
    storage::Catalog* catalog = nullptr;  // both outlive the call
    storage::DriverSet* drivers = nullptr;
    std::function<void()> queued{};  // jobs were queued that are due
};

// POST with {"pools": [NAME...], "repair", "deep", "max_change"}: a job for each of these pools, or
// of all that are active; 202 with their ids. 409 where a pool's open job is asked for something
// else. Blocks on the catalog; any thread.
ApiAnswer answer_reconcile(const ReconcileMeans& means, const ApiCall& call);

}  // namespace tidepool::api
