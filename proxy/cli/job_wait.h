// Does jobs in a command, beside whoever else does them, and waits for them.
#pragma once

#include "proxy/cli/workspace.h"

#include <string>
#include <vector>

namespace tidepool::cli {

// Until no job of the batch is open any more, nor any of `more`, which others may have queued
// before us. With a progress bar; then says what became of them, and the errors of those that
// failed. The exit status: 1 where one failed or was cancelled.
int wait_for_batch(Workspace& workspace, const std::string& batch, const char* what, bool json,
                   const std::vector<storage::JobId>& more = {});

// Until no job that this program can do is due any more, whoever queued it; the exit status: 0.
int run_due_jobs(Workspace& workspace, bool json);

}  // namespace tidepool::cli
