// /api/admin/v1/pools: what the admin API makes of a request about pools.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/api/pool_registry.h"

#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kPoolsPath = "/api/admin/v1/pools";

// GET lists, POST creates (201); below a pool's name GET shows, PATCH changes, DELETE removes
// (204). `path` starts with kPoolsPath. Blocks on the catalog; any thread.
ApiAnswer answer_pools(PoolRegistry& registry, const ApiCall& call);

}  // namespace tidepool::api
