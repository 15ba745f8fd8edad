// Starting and ending worker processes, from the server's side. Blocks shortly.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"
#include "transform/worker_channel.h"

#include <chrono>
#include <cstdint>
#include <string>

#include <sys/types.h>

namespace tidepool::transform {

struct WorkerProcess {
    pid_t pid = 0;
    conf::Descriptor socket;  // does not block
};

// Runs the worker's program (worker/main.cpp), which this one carries, so that it needs no file and
// the server itself none of the image libraries. Its environment is made for it. Any thread.
Result<WorkerProcess> start_worker(const WorkerLimits& limits);

// How a worker ended.
struct WorkerEnd {
    enum class Cause : std::uint8_t {
        itself,  // a crash, or that we killed it
        limit,   // of its processor time
        others,  // killed by somebody else: the kernel, where memory runs out, or an operator
    };
    Cause cause = Cause::itself;
    std::string text;  // "signal 11", "status 1"
};

// Kills it where it still runs after `patience`, and waits until it is gone. Only of one that ended
// within that is it known whether others killed it. Any thread; call it once.
WorkerEnd end_worker(pid_t pid, std::chrono::milliseconds patience = {});

}  // namespace tidepool::transform
