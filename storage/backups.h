// Copies of originals in backup pools, and of all objects of a pool in its mirror: made, looked
// after, and used.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tidepool::storage {

// Whether any pool takes backups, or mirrors another one.
bool has_backup_pool(const DriverSet& drivers);
bool has_mirror(const DriverSet& drivers);
// Whether anything new is copied there.
bool takes_copies(const KnownPool& pool);

// The job that copies an object into a backup pool or a mirror. A second one is not queued while
// one is open.
NewJob backup_job(const std::string& original, PoolId target, const std::string& batch);

// What is to be copied yet, and what is.
struct BackupState {
    PoolId target = 0;
    bool is_mirror = false;
    std::uint64_t objects = 0;  // that should have a copy there
    std::uint64_t missing = 0;  // of these, the ones without
    std::uint64_t missing_bytes = 0;
};

struct BackupLook {
    std::optional<bool> of_mirrors{};  // only these, or only backup pools; nothing: both
    std::optional<std::string>
        batch{};                      // queue what is missing under this name; nothing: only count
    std::int64_t added_before_s = 0;  // queue only what was there before
    std::int64_t now_s = 0;
    std::function<bool()> goes_on{};       // asked now and then; closed where it says no
    std::vector<JobId>* queued = nullptr;  // gets the jobs, of which some may have been open before
};

// Counts what each backup pool and mirror lacks, and may queue jobs that copy it. Reads every row.
// For a backup pool: the originals of images, in whatever pool they are; for a mirror all objects
// of the pools that it mirrors.
Result<std::vector<BackupState>> look_for_missing_backups(Catalog& catalog,
                                                          const DriverSet& drivers,
                                                          const BackupLook& look);

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

// The job that looks for what has no copy.
NewJob backup_scan_job();

// The handlers of both. Safe from any thread.
class Backups {
  public:
    // Cache-Control that goes with an object into a mirror's bucket, for visitors who are sent
    // there.
    using CacheControl =
        std::function<std::string(const std::string& key, const std::string& type)>;
    // Both outlive it. An original has a copy in the backup pools `delay_s` after it came.
    Backups(Catalog& catalog, DriverSet& drivers, std::int64_t delay_s,
            CacheControl cache_control = {})
        : catalog_(catalog),
          drivers_(drivers),
          delay_s_(delay_s),
          cache_control_(std::move(cache_control)) {}

    // Of "backup".
    JobEnd copy(JobRun& run);
    // Of "backup-scan": queues what is missing.
    JobEnd scan(JobRun& run);

  private:
    bool is_wanted(const ObjectRecord& row, const DriverSet::Pool& target) const;
    Result<bool> is_moving(const ObjectRecord& row) const;
    Result<bool> copy_one(ObjectRecord row, const std::string& key, const DriverSet::Pool& target);
    JobEnd copy_of_moved(const JobRun& run, const ObjectRecord& row, const std::string& key,
                         const std::vector<BackupRecord>& copies, const DriverSet::Pool& target);
    JobEnd copy_of_nothing(const JobRun& run, const std::string& key,
                           const std::vector<BackupRecord>& copies, bool is_deleted,
                           const DriverSet::Pool& target);

    Catalog& catalog_;
    DriverSet& drivers_;
    const std::int64_t delay_s_;
    const CacheControl cache_control_;
};

}  // namespace tidepool::storage
