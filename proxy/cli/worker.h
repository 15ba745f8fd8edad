// tidepool worker: what `serve` starts to make variants; not for people, and not in --help.
#pragma once

#include "transform/worker.h"

#include <CLI/CLI.hpp>

namespace tidepool::cli {

// Adds the command, which never returns. `limits` must outlive the parsing.
void add_worker(CLI::App& app, transform::WorkerLimits& limits);

}  // namespace tidepool::cli
