// Pools of which each object has a copy in another pool, under the same key (PoolSettings::mirror).
//
// It is for changing a provider without downtime: the copies come to be while the old pool serves;
// then a move changes nothing but rows, and what stays behind is a copy in its turn where the new
// pool mirrors the old one.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/known_pool.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace tidepool::storage {

// Where the objects of each pool have their copies. Of pools that cannot be used too: what is there
// is there.
std::map<PoolId, PoolId> mirrors_among(std::span<const KnownPool> pools);

// What copies each row that comes to a mirrored pool, for Catalog::follow_rows; empty where no pool
// is mirrored by one that takes something new.
Catalog::Follow mirror_follower(std::span<const KnownPool> pools);

// Removes the copies of an object that mirrors have, bytes first. Those in pools that are no longer
// known are only forgotten. Errors are those of catalog and stores; what is left is found again.
Result<void> remove_mirror_copies(Catalog& catalog, DriverSet& drivers, const std::string& key);

// The same of all copies whose keys begin so, whether their objects have rows or not.
Result<void> remove_mirror_copies_below(Catalog& catalog, DriverSet& drivers,
                                        const std::string& prefix);

struct PruneResult {
    std::uint64_t kept = 0;  // copies that a mirrored pool wants
    std::uint64_t lone = 0;  // whose object has no row: the last that is known of it; they are kept
    std::uint64_t stale = 0;  // the others
    std::uint64_t bytes = 0;  // of those
};
// Looks through the copies in a pool for those of objects that are in a pool that is not mirrored
// there, and with `batch` queues jobs that remove them, once each object is seen where it is at
// home.
Result<PruneResult> prune_mirror(Catalog& catalog, DriverSet& drivers, PoolId target,
                                 const std::string& batch, std::int64_t now_s);

}  // namespace tidepool::storage
