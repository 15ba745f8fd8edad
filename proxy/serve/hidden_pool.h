// What the edge is to forget of a pool whose images only a signed URL opens from now on. Pure.
#pragma once

#include "conf/settings.h"
#include "storage/catalog_records.h"
#include "storage/known_pool.h"

#include <cstdint>
#include <optional>
#include <span>

namespace tidepool::serve {

// All images of all hosts: nobody can tell the edge which URLs are of this pool. Its tag goes along
// where answers have that, for hosts that nobody names; alone it would miss what the edge was given
// before an image came to the pool. Nothing: there is no zone, or no host that is known.
//
// `pools`: all there are, as each bucket and each host is a way to the images of all; `pool`: this
// one as it becomes.
std::optional<storage::NewJob> hidden_pool_purge(const conf::Settings& settings,
                                                 std::span<const storage::KnownPool> pools,
                                                 const conf::PoolSettings& pool,
                                                 std::int64_t now_s);

}  // namespace tidepool::serve
