// Files that an operator wrote, read whole.
#pragma once

#include "conf/error.h"

#include <cstddef>
#include <string>

namespace tidepool::conf {

// The content of a regular file. A device, a pipe or a folder is `denied` (reading one could block
// for ever), a file of more than `max_bytes` is `invalid`.
Result<std::string> read_small_file(const std::string& path, std::size_t max_bytes);

}  // namespace tidepool::conf
