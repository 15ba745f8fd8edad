// What the edge is to forget of a pool whose images only a signed URL opens from now on. Pure.
#pragma once

#include "conf/settings.h"
#include "storage/catalog_records.h"

#include <cstdint>
#include <optional>

namespace tidepool::serve {

// By the pool's tag where answers have that. Else nobody can tell the edge which URLs are of this
// pool, so all images of all hosts go. Nothing: there is no zone, or no host that is known.
std::optional<storage::NewJob> hidden_pool_purge(const conf::Settings& settings,
                                                 const conf::PoolSettings& pool,
                                                 std::int64_t now_s);

}  // namespace tidepool::serve
