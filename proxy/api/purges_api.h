// /api/admin/v1/purges: what the edge is to forget at once, as jobs.
#pragma once

#include "proxy/api/api_answer.h"
#include "storage/catalog.h"

#include <functional>
#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kPurgesPath = "/api/admin/v1/purges";

struct PurgeMeans {
    storage::Catalog* catalog = nullptr;  // outlives the call
    bool has_zone = false;                // false: there is no edge that could be asked
    std::function<void()> queued{};       // jobs were queued that are due
};

// POST with {"images", "urls", "tags", "prefixes": [...], "everything"}: 202 with the ids of the
// jobs; 409 without a zone. Blocks on the catalog; any thread.
ApiAnswer answer_purges(const PurgeMeans& means, const ApiCall& call);

}  // namespace tidepool::api
