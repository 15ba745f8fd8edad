// The job "reconcile": one key, of which somebody saw that catalog and store disagree.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"
#include "storage/reconcile_judge.h"
#include "storage/reconcile_repair.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tidepool::storage {

// The job that looks at this key in the pool of this name. While it is open it is not queued again.
NewJob reconcile_job(const std::string& pool, const std::string& key);

// Its payload: {"key": KEY, "pool": NAME}. Safe from any thread.
class ReconcileJobs {
  public:
    // Both outlive it. `rules.now_s` is set for each job.
    ReconcileJobs(Catalog& catalog, DriverSet& drivers, RepairRules rules, std::int64_t grace_s)
        : catalog_(catalog), drivers_(drivers), rules_(std::move(rules)), grace_s_(grace_s) {}

    // Looks at the key, its content included, and repairs by the rules of a whole reconcile. What
    // is too young, or is being moved, is put off; what cannot be repaired fails.
    JobEnd reconcile(JobRun& run);

  private:
    std::optional<PoolId> pool_called(const std::string& name) const;
    JobEnd repair(JobRun& run, const DriverSet::Pool& pool, const Verdict& verdict);

    Catalog& catalog_;
    DriverSet& drivers_;
    const RepairRules rules_;
    const std::int64_t grace_s_;
};

}  // namespace tidepool::storage
