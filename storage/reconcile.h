// Compares the catalog with what a pool holds, and mends what differs.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/finding.h"
#include "storage/reconcile_repair.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tidepool::storage {

struct FindingCounts {
    std::uint64_t found = 0;
    std::uint64_t bytes = 0;
    std::uint64_t repaired = 0;  // of those found
    bool operator==(const FindingCounts&) const = default;
};

struct ReconcileCounts {
    std::array<FindingCounts, kFindingKinds> by_kind{};
    std::uint64_t compared = 0;    // keys, of rows and of objects
    std::uint64_t bytes = 0;       // of the objects
    std::uint64_t pending = 0;     // a job is at work on them
    std::uint64_t young = 0;       // differ, and are too young to be judged
    std::uint64_t left_out = 0;    // set aside, or under names that are never served
    std::uint64_t unreadable = 0;  // whose content could not be read where that was wanted

    FindingCounts& of(FindingKind kind) { return by_kind.at(static_cast<std::size_t>(kind)); }
    const FindingCounts& of(FindingKind kind) const {
        return by_kind.at(static_cast<std::size_t>(kind));
    }
    std::uint64_t found() const;
    std::uint64_t repaired() const;
};

struct ReconcileOptions {
    bool deep = false;    // reads every content; takes as long as that
    bool repair = false;  // false: changes nothing
    std::int64_t now_s = 0;
    std::int64_t grace_s = 3600;
    // Where more than so many percent of what was compared, and more than kFewChanges, would
    // change, nothing does.
    unsigned max_change_percent = 5;
    std::string quarantine_prefix = "quarantine/";
    // See RepairRules.
    std::function<std::string(const std::string& key, const std::string& type)> cache_control{};
    std::function<void(const std::vector<std::string>& keys)> changed{};
    // Told of each finding when it is made, and, where it is to be repaired, of what became of it.
    std::function<void(const Finding&)> found{};
    std::function<void(const Finding&, const RepairEnd&)> ended{};
    // Called now and then; false ends it there.
    std::function<bool(const ReconcileCounts&)> report{};
};

struct ReconcileResult {
    ReconcileCounts counts;
    bool is_complete = false;     // false where `report` ended it
    bool is_too_much = false;     // more would change than may, so nothing was repaired
    std::uint64_t left_over = 0;  // beyond kMostKept: found, and to be repaired by another run

    // Nothing is wrong, or nothing is any more.
    bool all_well() const {
        return is_complete && !is_too_much && counts.unreadable == 0 &&
               counts.repaired() == counts.found();
    }
};

// In two passes. The first only looks: it merges the pool's listing with the catalog's rows, looks
// closely at what does not agree, then goes through the versions that the store keeps, and counts.
// Only then is it known what share would change. The second takes the keys that were found, of
// which the first kept at most kMostKept, so that memory does not grow with the pool; it looks at
// each once more, as much may have happened since, and repairs what is still so. Being killed at
// any point costs nothing but the run: the next one finds what is left.
//
// One thread. Errors: the catalog's, and those of the store that concern it as a whole. What cannot
// be repaired stays a finding.
Result<ReconcileResult> reconcile_pool(Catalog& catalog, DriverSet& drivers, PoolId pool,
                                       const ReconcileOptions& options);

inline constexpr std::uint64_t kFewChanges = 20;
inline constexpr std::size_t kMostKept = 100'000;
// Contents that cannot be read, after which the pool is taken to be broken.
inline constexpr std::uint64_t kMostUnreadable = 100;

}  // namespace tidepool::storage
