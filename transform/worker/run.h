// The worker process: makes variants and looks at originals, one after the other, in a sandbox.
#pragma once

#include <cstdint>

namespace tidepool::transform {

struct WorkerLimits {
    std::uint64_t memory_bytes = 0;  // that one image may take
    int nice = 0;
};

// Serves the jobs that come over `socket` (worker_channel.h) until the other end closes it. Before
// the first it makes one of everything, so that all that is loaded on first use is there, and
// enters the sandbox; then it says that it is ready. Returns the process's exit status; why it
// failed stands in the first answer. The calling process must be made for this alone: nothing of it
// works as before afterwards.
int run_worker(int socket, const WorkerLimits& limits);

}  // namespace tidepool::transform
