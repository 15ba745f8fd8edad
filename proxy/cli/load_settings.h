// The settings a command works with: the file, what the command line changes, and what is wrong
// with them.
#pragma once

#include "conf/settings.h"
#include "proxy/cli/commands.h"

#include <optional>

namespace tidepool::cli {

// Writes every problem to standard error and gives nothing where there is one.
std::optional<conf::Settings> load_settings(const ServeOptions& options);

}  // namespace tidepool::cli
