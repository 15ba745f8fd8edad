// /api/admin/v1/tiering: what the next sweep would do, and one at once. What `tidepool tier` prints
// is made here, too.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/api/pool_json.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/tier_sweep.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kTieringPath = "/api/admin/v1/tiering";

// The name of a pool, also of one that is gone.
using PoolNamed = std::function<std::string(storage::PoolId)>;

// Plans a sweep, and says in its notes what keeps a server from making it by itself.
Result<storage::SweepPlan> plan_with_notes(const storage::TierContext& context, std::int64_t now_s);

// At most `limit` of its moves, and of the images that are left out; 0 = all.
Json plan_json(const storage::SweepPlan& sweep, const PoolNamed& name, std::uint64_t limit);

// What a sweep has queued; `batch` is null where that is nothing.
Json sweep_json(const storage::Sweep& sweep);

struct TieringMeans {
    storage::Catalog* catalog = nullptr;  // both outlive the call
    storage::DriverSet* drivers = nullptr;
    std::function<conf::TieringSettings()> settings{};
    std::string process{};           // see storage/job_owner.h
    std::function<void()> queued{};  // jobs were queued that are due
};

// GET of its plan, with a `limit` of moves; POST to its run makes a sweep, also where tiering is
// not enabled: 202, or 200 where nothing is to be moved. Blocks on the catalog for as long as it
// takes to read what is known of every image; one plan is made at a time, more are 503. Any thread.
ApiAnswer answer_tiering(const TieringMeans& means, const ApiCall& call);

}  // namespace tidepool::api
