// What the worker process does: makes variants and looks at originals, one after the other, in a
// sandbox.
#pragma once

#include "transform/worker_channel.h"

namespace tidepool::transform {

// Serves the jobs that come over `socket` (worker_channel.h) until the other end closes it. Before
// the first it makes one of everything, so that all that is loaded on first use is there, and
// enters the sandbox; then it says that it is ready. Returns the process's exit status; why it
// failed stands in the first answer. The calling process must be made for this alone: nothing of it
// works as before afterwards.
int run_worker(int socket, const WorkerLimits& limits);

}  // namespace tidepool::transform
