// Walking the files below a folder in the order of their keys. Blocking; any thread.
#pragma once

#include "conf/error.h"

#include <functional>
#include <string>
#include <string_view>

struct stat;

namespace tidepool::storage {

// Which files are of interest, by their path below the base.
struct WalkRange {
    std::string prefix;  // paths that start with it
    std::string after;   // and come behind it, in the order of bytes; "" = all
};

// Told of each file; false ends the walk. `folder` is the file's folder, open while told.
using WalkVisitor =
    std::function<bool(int folder, const std::string& path, const std::string& name)>;

// Visits names in the order of the bytes of their paths, never through a link. `wanted` judges a
// name before anything else is asked of it; folders whose names start with '.' are not entered.
// What vanishes meanwhile is passed over. denied and io as from opening a folder.
Result<void> walk_files(int base, const WalkRange& range,
                        const std::function<bool(std::string_view name)>& wanted,
                        const WalkVisitor& visit);

}  // namespace tidepool::storage
