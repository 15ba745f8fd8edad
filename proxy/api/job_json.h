// Jobs as programs read them.
#pragma once

#include "proxy/api/pool_json.h"
#include "storage/catalog_records.h"

#include <string>

namespace tidepool::api {

// Text that is JSON as that; null where there is none.
Json json_or_text(const std::string& text);

// All that is known of it; times in seconds since 1970, null where there is none.
Json job_json(const storage::JobRecord& job);

}  // namespace tidepool::api
