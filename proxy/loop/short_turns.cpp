#include "proxy/loop/short_turns.h"

#include "conf/log.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

// The shortest that the kernel takes.
constexpr std::uint64_t kTurnNs = 100'000;
// SCHED_FLAG_RESET_ON_FORK: not for the processes that the thread starts.
constexpr std::uint64_t kNotForChildren = 1;

// As the kernel has it; the C library of Debian 12 does not.
struct Attributes {
    std::uint32_t size = sizeof(Attributes);
    std::uint32_t policy = 0;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime_ns = 0;
    std::uint64_t deadline_ns = 0;
    std::uint64_t period_ns = 0;
};

}  // namespace

void ask_for_short_turns() {
    Attributes attributes;
    // The nice value stays as whoever started us wanted it.
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    if (attributes.policy != SCHED_OTHER) return;
    attributes.size = sizeof attributes;
    attributes.flags |= kNotForChildren;
    attributes.runtime_ns = kTurnNs;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        conf::log_debug("no short turns reason=\"{}\"", std::strerror(errno));
}

bool ask_for_realtime() {
    const sched_param least{.sched_priority = sched_get_priority_min(SCHED_RR)};
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &least) == 0) return true;
    conf::log_warn(
        "a loop is not real-time, as server.realtime wants it; give CAP_SYS_NICE or "
        "RLIMIT_RTPRIO reason=\"{}\"",
        std::strerror(errno));
    return false;
}

}  // namespace tidepool::loop
