// The command line.
#pragma once

namespace tidepool::cli {

// Reads the arguments and runs the command they name. Returns the exit status.
int run(int argument_count, char** argument_values);

}  // namespace tidepool::cli
