// Starting and ending worker processes, from the server's side. Blocks shortly.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"
#include "transform/worker.h"

#include <string>

#include <sys/types.h>

namespace tidepool::transform {

// The descriptor that a worker is given, its only one but for standard input and output, which lead
// nowhere.
inline constexpr int kWorkerSocket = 3;

struct WorkerProcess {
    pid_t pid = 0;
    conf::Descriptor socket;  // does not block
};

// Runs `program worker`, which calls run_worker with these limits. Its environment is made for it.
// Any thread.
Result<WorkerProcess> start_worker(const std::string& program, const WorkerLimits& limits);

// How a worker ended.
struct WorkerEnd {
    bool by_limit = false;  // of its processor time
    std::string text;       // "signal 11", "status 1"
};

// Kills it where it still runs, and waits until it is gone. Any thread; call it once.
WorkerEnd end_worker(pid_t pid);

}  // namespace tidepool::transform
