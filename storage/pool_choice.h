// Which pool an upload goes to (contracts: pixelfox.md, Storage pool fields). Pure.
#pragma once

#include "storage/known_pool.h"

#include <span>
#include <vector>

namespace tidepool::storage {

// The pools that may take an upload, in the order in which they are asked for room: the hot ones by
// priority, then by id; the warm ones; with `fallback` all others by priority; and the default pool
// at last. Backup pools, and those that take no images, are none of them.
std::vector<KnownPool> pools_for_upload(std::span<const KnownPool> pools, bool fallback);

}  // namespace tidepool::storage
