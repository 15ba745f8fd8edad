// Mends what a comparison of catalog and pool found. Blocking.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/reconcile_judge.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidepool::storage {

struct RepairRules {
    std::string quarantine_prefix = "quarantine/";
    std::int64_t now_s = 0;
    // Cache-Control that goes with an object into a bucket.
    std::function<std::string(const std::string& key, const std::string& type)> cache_control{};
    // This key is somewhere else, or gone, by now.
    std::function<void(const std::vector<std::string>& keys)> changed{};
};

// What became of one finding.
struct RepairEnd {
    bool is_repaired = false;
    std::string what{};  // was done, or why nothing can be; for people
};

// Never removes content that is not proved to be elsewhere: what is in the wrong place or wrong
// itself is set aside (Driver::set_aside). A missing row is no reason to remove anything.
//
// Bytes change before rows: where it is killed in between, what is left is a finding of another
// kind, whose repair ends it. So each can be done again.
//
// One thread. What it borrows outlives it.
class Repairer {
  public:
    // `asking` is the job that it works for; 0: none.
    Repairer(Catalog& catalog, DriverSet& drivers, DriverSet::Pool pool, RepairRules rules,
             JobId asking = 0)
        : catalog_(catalog),
          drivers_(drivers),
          pool_(std::move(pool)),
          rules_(std::move(rules)),
          asking_(asking) {}

    // Of a verdict that is a finding and was reached just now. Errors are those of catalog and
    // stores; then the finding stays.
    Result<RepairEnd> repair(const Verdict& verdict);

  private:
    Result<RepairEnd> missing(const Verdict& verdict);
    Result<RepairEnd> unknown(const Verdict& verdict);
    Result<RepairEnd> elsewhere(const Verdict& verdict);
    Result<RepairEnd> elsewhere_and_held(const Verdict& verdict);
    Result<RepairEnd> wrong(const Verdict& verdict);
    Result<RepairEnd> stale(const Verdict& verdict);
    Result<RepairEnd> late(const Verdict& verdict);
    Result<RepairEnd> hidden(const Verdict& verdict);
    Result<RepairEnd> copy(const Verdict& verdict);
    Result<std::optional<RepairEnd>> remove_bad_copy(const Verdict& verdict);
    Result<RepairEnd> copy_again(const std::string& original, std::string_view what);

    Result<std::optional<RepairEnd>> restore(const ObjectRecord& row, const ObjectInfo* in_place);
    Result<bool> has_good_content(const BackupRecord& backup, const ObjectRecord& row);
    Result<void> restore_from(const BackupRecord& backup, const ObjectRecord& row);
    Result<std::optional<RepairEnd>> find_in_other_pool(const ObjectRecord& row);
    Result<std::vector<std::string>> markers_over(const ObjectRecord& row);
    Result<std::optional<RepairEnd>> unhide(const ObjectRecord& row);
    Result<RepairEnd> point_here(const ObjectRecord& row, const ObjectInfo& info, PoolId pool);
    Result<void> remove_row(const ObjectRecord& row);
    Result<void> adopt(const ObjectInfo& info);
    Result<void> set_aside(const ObjectInfo& object);
    void tell(const std::string& key) const;

    Catalog& catalog_;
    DriverSet& drivers_;
    const DriverSet::Pool pool_;
    const RepairRules rules_;
    const JobId asking_;
};

}  // namespace tidepool::storage
