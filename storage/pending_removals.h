// What the pools still hold beside the catalog's rows, or will not hold for long.
#pragma once

#include "storage/catalog.h"
#include "storage/driver.h"

#include <cstdint>
#include <map>

namespace tidepool::storage {

struct RemovalCount {
    std::uint64_t count = 0;  // objects
    std::uint64_t bytes = 0;
    bool operator==(const RemovalCount&) const = default;
};

// Of one pool.
struct PendingRemovals {
    RemovalCount deleted;    // of images that are being deleted; they still have rows
    RemovalCount leftovers;  // that moves left there, until their grace time ends; without rows
    bool operator==(const PendingRemovals&) const = default;
};

// By the open jobs, of which it reads every one that deletes or cleans.
Result<std::map<PoolId, PendingRemovals>> pending_removals(Catalog& catalog);

// The versions behind the current ones, and markers: what a store bills and nothing names. Lists
// all versions of the pool, a call for 1,000 of them. Errors are the driver's.
Result<RemovalCount> hidden_versions(Driver& driver);

}  // namespace tidepool::storage
