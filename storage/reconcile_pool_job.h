// The job "reconcile-pool": a whole pool is compared with the catalog, and mended where that is
// wanted.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"
#include "storage/reconcile.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tidepool::storage {

struct PoolReconcileWish {
    PoolId pool = 0;
    bool repair = false;  // false: changes nothing
    bool deep = false;    // reads every content
    // Instead of what the settings say; see ReconcileOptions.
    std::optional<unsigned> max_change_percent{};
    bool operator==(const PoolReconcileWish&) const = default;
};

// While one of a pool is open, another of it is not queued.
NewJob pool_reconcile_job(const PoolReconcileWish& wish, std::string_view pool_name,
                          std::string_view batch);
// What an open one was asked for; invalid where it does not say.
Result<PoolReconcileWish> pool_reconcile_wish(const JobRecord& job);

// Safe from any thread.
class PoolReconcileJobs {
  public:
    // Both outlive it. Of `options` the grace, the share, the prefix and what is told of changes
    // are used.
    PoolReconcileJobs(Catalog& catalog, DriverSet& drivers, ReconcileOptions options)
        : catalog_(catalog), drivers_(drivers), options_(std::move(options)) {}

    // The job's progress says what was found so far, and in the end all of it: counts by kind. It
    // fails at once where more would change than may; with findings that stay it is done. When it
    // is interrupted it begins anew.
    JobEnd reconcile(JobRun& run);

  private:
    Catalog& catalog_;
    DriverSet& drivers_;
    const ReconcileOptions options_;
};

}  // namespace tidepool::storage
