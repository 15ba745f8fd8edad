// /api/admin/v1/pools: what the admin API makes of a request about pools.
#pragma once

#include "proxy/api/pool_registry.h"
#include "proxy/http/request.h"

#include <string>
#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kPoolsPath = "/api/admin/v1/pools";

struct ApiAnswer {
    int status = 200;
    std::string body;      // JSON; "" for 204
    std::string fields;    // header lines with CRLF
    bool changed = false;  // pools are no longer what they were
};

// GET lists, POST creates (201); below a pool's name GET shows, PATCH changes, DELETE removes
// (204). `path` starts with kPoolsPath. Blocks on the catalog; any thread.
ApiAnswer answer_pools(PoolRegistry& registry, std::string_view method, std::string_view path,
                       std::string_view body);

// {"error": CODE, "message": TEXT}, as all errors of the APIs are told (contracts: pixelfox.md).
ApiAnswer api_error(int status, std::string_view code, std::string_view message,
                    std::string fields = {});

}  // namespace tidepool::api
