// Copies of originals in backup pools: made, looked after, and used.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::storage {

// Whether any pool takes backups.
bool has_backup_pool(const DriverSet& drivers);

// The job that copies an original into a backup pool. A second one is not queued while one is open.
NewJob backup_job(const std::string& original, PoolId target, const std::string& batch);

// What is to be copied yet, and what is.
struct BackupState {
    PoolId target = 0;
    std::uint64_t originals = 0;  // that should have a copy there
    std::uint64_t missing = 0;    // of these, the ones without
    std::uint64_t missing_bytes = 0;
};

// Counts what each backup pool lacks, and with `batch` queues a job for each original that was
// there before `added_before_s`. Reads every row; with `batch` nothing only counts. Which
// originals: those of images, in whatever pool they are.
// `goes_on`, if any, is asked now and then; closed where it says no.
Result<std::vector<BackupState>> look_for_missing_backups(
    Catalog& catalog, const DriverSet& drivers, std::int64_t added_before_s,
    const std::optional<std::string>& batch, std::int64_t now_s,
    const std::function<bool()>& goes_on = {});

// A backup that was read back.
struct VerifiedBackup {
    BackupRecord backup;
    std::optional<Error> problem{};  // nothing: it is what it should be
};
// Reads `sample` backups of a pool, drawn at random, and proves them. `report` is told of each.
Result<std::uint64_t> verify_backups(Catalog& catalog, DriverSet& drivers, PoolId target,
                                     std::size_t sample,
                                     const std::function<void(const VerifiedBackup&)>& report);

// Copies an original back from a backup that is proved by it, into the pool that its row names,
// whatever is there now; one without a row into `to`. not_found where no backup has it or its image
// was deleted, corrupt where none of them is good, busy while it is being moved; then nothing was
// changed. Gives the pool of the backup that was used.
Result<PoolId> restore_original(Catalog& catalog, DriverSet& drivers, const std::string& original,
                                std::optional<PoolId> to, std::int64_t now_s);

// The job that looks for originals without a copy.
NewJob backup_scan_job();

// The handlers of both. Safe from any thread.
class Backups {
  public:
    // Both outlive it.
    Backups(Catalog& catalog, DriverSet& drivers, std::int64_t delay_s)
        : catalog_(catalog), drivers_(drivers), delay_s_(delay_s) {}

    // Of "backup".
    JobEnd copy(JobRun& run);
    // Of "backup-scan": queues what is missing.
    JobEnd scan(JobRun& run);

  private:
    Result<void> copy_one(const ObjectRecord& row, const std::string& key,
                          const DriverSet::Pool& target);

    Catalog& catalog_;
    DriverSet& drivers_;
    const std::int64_t delay_s_;
};

}  // namespace tidepool::storage
