// Deletes images for good: what is stored of them, wherever it is, and what is known of them.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tidepool::storage {

// From now on readers are told that the image is gone (Catalog::begin_deletion); the job that
// removes all of it is queued, and its id is the result. Doing it again gives the open job, or
// checks once more that nothing is left. not_found where the catalog does not know the image.
Result<JobId> delete_image(Catalog& catalog, const Uuid& image, const std::string& batch,
                           std::int64_t now_s);

// Queues anew what was begun and has no job that goes on with it: a deletion that failed, once that
// was long enough ago, and one whose job is gone. Gives how many there were. Whoever was told that
// an image is deleted relies on that.
Result<std::size_t> resume_deletions(Catalog& catalog, std::int64_t now_s);

struct RemoveRules {
    bool with_backups = true;
    // What variants an original of this key can have, as keys: somebody may have them in memory.
    std::function<std::vector<std::string>(const std::string& original)> variants_of{};
    // Takes what the shelf has of an object off it.
    std::function<void(const ObjectRecord&)> unshelve{};
    // These objects are gone.
    std::function<void(const std::vector<std::string>& keys)> removed{};
};

// The handler of "delete". Safe from any thread.
//
// Bytes go first and their rows after them, so that whoever goes on after a crash still knows where
// to look. A move of the image that runs is waited for; it sees that the image is deleted, and
// takes back what it has copied.
class ImageRemover {
  public:
    // Both outlive it.
    ImageRemover(Catalog& catalog, DriverSet& drivers, RemoveRules rules);

    JobEnd remove(JobRun& run);

  private:
    Result<void> keep_private(const Uuid& image);
    // False: somebody is at it; to be tried again soon.
    Result<bool> end_moves(const Uuid& image);
    Result<bool> end_cleaning(const Uuid& image);
    Result<bool> end_clean(const JobRecord& job, PoolId pool_id);
    Result<void> remove_rows(JobRun& run, const std::vector<ObjectRecord>& rows);
    Result<void> remove_files(const std::string& original);
    Result<void> remove_backups(JobRun& run, const std::string& original);

    Catalog& catalog_;
    DriverSet& drivers_;
    const RemoveRules rules_;
};

}  // namespace tidepool::storage
