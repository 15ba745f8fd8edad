// /api/admin/v1/keys: who may use the upload API.
#pragma once

#include "proxy/api/api_answer.h"
#include "storage/catalog.h"

#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kKeysPath = "/api/admin/v1/keys";

// GET lists, of an `owner` or all; POST makes one, which is shown that once (201); DELETE below an
// id revokes (204). Blocks on the catalog; any thread.
ApiAnswer answer_keys(storage::Catalog& catalog, const ApiCall& call);

}  // namespace tidepool::api
