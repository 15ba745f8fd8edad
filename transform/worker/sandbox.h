// What a worker process gives up before it touches a stranger's file.
#pragma once

#include "conf/error.h"
#include "transform/worker_channel.h"

#include <cstdint>

namespace tidepool::transform {

// Takes from this process, for all its threads and for good: new rights, files, sockets, other
// programs, other processes, executable memory, core dumps. What it has mapped so far may grow by
// `memory_bytes`, beside which it may hold a few memory files of `file_bytes` each. What it can
// still do: compute, take and give memory, start threads of its own, read and write the descriptors
// that it has or is sent, and make memory files. A forbidden call that a library makes in good
// faith (opening a file) fails with EPERM; one that only an intruder makes ends the process.
//
// In builds with a sanitizer, whose run-time calls more, the list is of what is forbidden instead,
// and memory has no limit.
Result<void> enter_sandbox(const WorkerLimits& limits);

// From now on all threads of this process together may use so much more processor time; then the
// kernel ends it. Allowed in the sandbox.
Result<void> limit_processor_time(std::uint32_t seconds);

}  // namespace tidepool::transform
