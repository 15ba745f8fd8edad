// Sweeps of the tiering policy: plans moves from what the catalog knows, and queues them.
#pragma once

#include "conf/settings.h"
#include "storage/catalog.h"
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
// What the names of all sweeps' batches begin with: "tier 2026-02-25T13:05:00Z", so that their
// order is that of their times.
inline constexpr const char* kTierBatch = "tier ";
std::string tier_batch(std::int64_t now_s);

// Both block on the catalog, which reads every image of the hot and warm pools.
struct TierContext {
    Catalog& catalog;
    std::span<const KnownPool> pools;
    const conf::TieringSettings& settings;
};

struct SweepPlan {
    TierPlan plan;
    std::uint64_t open = 0;  // moves of earlier sweeps, which this one leaves room for
    // Why no sweep moves anything until somebody has looked; "" = nothing is wrong.
    std::string stopped;
    // Of these batches the moves that wait are to be held back, where it is stopped.
    std::vector<std::string> judged;
};

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
// last sweeps, within a day, have failed, it queues nothing and pauses what of them still waits;
// that ends when the failed ones are retried with success, or after a day. Busy where another
// process sweeps.
Result<Sweep> run_sweep(const TierContext& context, const std::string& owner, std::int64_t now_s);

}  // namespace tidepool::storage
