// Sweeps of the tiering policy: plans moves from what the catalog knows, and queues them.
#pragma once

#include "conf/day_window.h"
#include "conf/settings.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/known_pool.h"
#include "storage/tiering.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tidepool::storage {

// What operators ask for (100) goes before.
inline constexpr int kTierPriority = 200;
// What the names of all sweeps' batches begin with: "tier 2026-02-25T13:05:00Z 5f0c...", so that
// their order is that of their times, and two of one second are two.
inline constexpr const char* kTierBatch = "tier ";

// Both block on the catalog, which reads every image of the hot and warm pools, and on the disks
// that images may go to.
struct TierContext {
    Catalog& catalog;
    std::span<const KnownPool> pools;
    const conf::TieringSettings& settings;
    DriverSet* drivers = nullptr;  // null: no disk is asked how much room it has
};

// An image whose move has failed is not moved by sweeps for so long, unless that is retried:
// others are to have their turn.
inline constexpr std::int64_t kLeaveOutS = 7 * conf::kDayS;

struct LeftOutImage {
    Uuid image{};
    PoolId pool = 0;
    JobRecord failed;  // its move
};

struct SweepPlan {
    TierPlan plan;
    std::uint64_t open = 0;  // moves of earlier sweeps, which this one leaves room for
    // By image, at most kMostLeftOut.
    std::vector<LeftOutImage> left_out;
    // By number: those that are being emptied to their low watermarks, as the next sweep is to
    // know.
    std::vector<PoolId> emptying;
    // Why no sweep moves anything until somebody has looked; "" = nothing is wrong.
    std::string stopped;
    // Of these batches the moves that wait are to be held back, where it is stopped.
    std::vector<std::string> judged;
};

inline constexpr std::size_t kMostLeftOut = 10'000;

// What the next sweep would do; changes nothing. Invalid where tiering.cohort_file is no list of
// UUIDs.
Result<SweepPlan> plan_sweep(const TierContext& context, std::int64_t now_s);

struct Sweep {
    SweepPlan plan;
    std::string batch;         // "" where nothing was queued
    std::uint64_t queued = 0;  // moves
    std::uint64_t paused = 0;  // moves of earlier sweeps that are held back, being stopped
};

// Plans, and queues what was planned. Where more than tiering.max_error_percent of the moves of the
// last sweeps have failed, at least one of them within a day, it queues nothing and pauses what of
// them still waits; that ends when the failed ones are retried with success, or after a day. Busy
// where another process sweeps.
Result<Sweep> run_sweep(const TierContext& context, const std::string& owner, std::int64_t now_s);

}  // namespace tidepool::storage
