// How many processors this process may use.
#pragma once

#include <algorithm>

#include <sched.h>

namespace tidepool::conf {

// At least 1. By the affinity of the calling thread, as taskset, cpusets and containers set it.
inline unsigned usable_cores() {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&cores)));
}

}  // namespace tidepool::conf
