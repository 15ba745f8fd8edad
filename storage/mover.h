// Moves images from pool to pool, and removes what stays behind.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/job_runner.h"
#include "storage/move_jobs.h"

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// The rows of what is to be moved, wherever they are; none where the catalog knows nothing of it.
Result<std::vector<ObjectRecord>> rows_of(Catalog& catalog, const MoveTarget& target);

// What such a clean is to remove: with all that the image has by now, where it is about the whole.
Result<std::vector<Leftover>> leftovers_of(Catalog& catalog, const Cleaning& cleaning);

// What the pool has of this original's variants, whether or not anybody knows of it: all names that
// can belong to the image, as profiles come and go, and other programs write there too.
Result<std::vector<ObjectInfo>> list_variants(Driver& driver, const std::string& original);

// The job that removes the copies of these objects, all of one image, that a mirror has; nothing
// where it has none. It removes nothing that is still to be there when it is done.
Result<std::optional<NewJob>> clean_mirror_job(Catalog& catalog, DriverSet& drivers, PoolId mirror,
                                               std::span<const ObjectRecord> objects,
                                               std::int64_t not_before_s);

// Whether images may come to this pool.
bool takes_images(const KnownPool& pool);
// Capped where a pool with a max_size has no room for so many bytes beside those that are kept free
// for uploads, and those that `others` are about to put there.
Result<void> require_room(Catalog& catalog, const KnownPool& pool, std::uint64_t bytes,
                          std::uint64_t others = 0);

struct MoveRules {
    std::int64_t grace_s = 600;  // copies that stay behind are kept for so long
    // Before one is removed the store is asked for what took its place, unless it has shown that
    // this short a while ago.
    std::int64_t proof_lasts_s = 30;
    // Cache-Control that goes with an object into a bucket, for visitors who are sent there.
    std::function<std::string(const std::string& key, const std::string& type)> cache_control{};
    // These objects are somewhere else by now.
    std::function<void(const std::vector<std::string>& keys)> moved{};
};

// The handlers of "move" and "clean". Safe from any thread.
//
// A move copies all objects of the image, has each proved by its SHA-256, and changes the catalog
// in one transaction, which also queues the clean. Whatever happens before it, the source is whole;
// whatever happens after it, the target is. Each step finds what an earlier attempt has done, or
// what the target has as a mirror. Where the target mirrors to the source, nothing is cleaned: what
// is there becomes the copy.
//
// Copies of a move that does not come to its end are cleaned by a job that the catalog queues with
// that end, and so is what lost its row while it moved (Catalog::fail_job, set_job_state,
// remove_object). A move waits for whoever cleans its target, or holds the image (ImageHold), and a
// clean for whoever moves something there; each is seen to be at it before it looks for the other.
class Mover {
  public:
    // Both outlive it.
    Mover(Catalog& catalog, DriverSet& drivers, MoveRules rules);

    JobEnd move(JobRun& run);
    JobEnd clean(JobRun& run);

  private:
    Result<bool> adopt_variants(const ObjectRecord& original);
    Result<JobEnd> move_rows(JobRun& run, const MoveTarget& target, const DriverSet::Pool& to,
                             bool had_copies, bool& has_begun);
    Result<bool> is_held_at_home(const MoveTarget& target, std::span<const ObjectRecord> rows);
    Result<bool> is_being_mirrored(const MoveTarget& target);
    Result<void> plan_cleaning(const MoveTarget& target, std::span<const ObjectRecord> rows,
                               std::span<const std::string> stamps, std::int64_t begun_s,
                               Relocation& relocation);
    Result<void> require_home(const ObjectRecord& row);
    Result<JobEnd> take_back(const MoveTarget& target, const DriverSet::Pool& to,
                             const std::vector<ObjectRecord>& rows, bool had_copies);
    Result<ObjectRecord> copy(const ObjectRecord& row, const DriverSet::Pool& to, bool may_be_there,
                              std::string& stamp);
    Result<std::optional<ObjectInfo>> find_copy(const ObjectRecord& row, Driver& to,
                                                bool& has_some);
    Result<bool> is_clean_put_off(const JobRecord& job, Cleaning& cleaning);
    Result<void> remove_leftover(const DriverSet::Pool& pool, const std::string& key,
                                 const std::string& stamp, const MoveProof& proof);
    bool is_fresh(const MoveProof& proof, PoolId home) const;
    Result<void> forget_copy(const DriverSet::Pool& pool, const std::string& key);
    void have_reconciled(const MoveTarget& target);
    // Bytes of a pool that moves which run here are going to fill.
    class Room;
    Result<Room> reserve(const DriverSet::Pool& to, std::uint64_t bytes);

    Catalog& catalog_;
    DriverSet& drivers_;
    const MoveRules rules_;
    std::mutex mutex_;
    std::map<PoolId, std::uint64_t> reserved_;
};

}  // namespace tidepool::storage
