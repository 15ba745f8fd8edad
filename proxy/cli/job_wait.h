// Does jobs in a command, beside whoever else does them, and waits for them.
#pragma once

#include "proxy/cli/workspace.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::cli {

// What became of the jobs of a batch.
struct BatchEnd {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;  // or comes again hourly until somebody has mended what is wrong
    std::uint64_t cancelled = 0;
    std::uint64_t paused = 0;
};
// Until no job of the batch is open any more, nor any of `more`, which others may have queued
// before us: what is queued again while it is open keeps its batch. Nor for purges that nobody
// may do: they stay queued. With a progress bar; writes the
// errors of what failed to standard error.
Result<BatchEnd> await_batch(Workspace& workspace, const std::string& batch, const char* what,
                             std::vector<storage::JobId> more = {});
// The same; then says what became of them. The exit status: 1 where one failed or was cancelled.
int wait_for_batch(Workspace& workspace, const std::string& batch, const char* what, bool json,
                   std::vector<storage::JobId> more = {});

// Until no job that this program can do is due any more, whoever queued it; the exit status: 0.
int run_due_jobs(Workspace& workspace, bool json);

}  // namespace tidepool::cli
