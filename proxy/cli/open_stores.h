// The catalog, the buckets and the shelf that a configuration asks for.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/serve/stores.h"

#include <memory>

namespace tidepool::cli {

// Opens them and declares the file's pools in the catalog. Fails where buckets are to be served and
// their catalog cannot be opened. What is only lost in speed or in what is written down (a shelf
// that cannot be used, the catalog of local pools) is said in the log, and gone without.
Result<std::unique_ptr<serve::Stores>> open_stores(const conf::Settings& settings);

}  // namespace tidepool::cli
