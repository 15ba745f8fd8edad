#include "proxy/loop/precedence.h"

#include "conf/log.h"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

// The shortest that the kernel takes.
constexpr std::uint64_t kTurnNs = 100'000;
// SCHED_FLAG_RESET_ON_FORK: not for the processes that the thread starts.
constexpr std::uint64_t kNotForChildren = 1;
// Who takes more of a processor than the first is one of many, until it takes less than the second.
constexpr double kMuch = 0.75;
constexpr double kLittle = 0.5;

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

// Of the calling thread; the nice value stays as whoever started us wanted it.
bool go_first() {
    const sched_param least{.sched_priority = sched_get_priority_min(SCHED_RR)};
    return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &least) == 0;
}

bool be_one_of_many() {
    const sched_param none{.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) != 0) return false;
    ask_for_short_turns();
    return true;
}

// Of the calling thread, since it began.
std::uint64_t used_ns() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<std::uint64_t>(used.tv_sec) * 1'000'000'000ULL +
           static_cast<std::uint64_t>(used.tv_nsec);
}

}  // namespace

void ask_for_short_turns() {
    Attributes attributes;
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    if (attributes.policy != SCHED_OTHER) return;
    attributes.size = sizeof attributes;
    attributes.flags |= kNotForChildren;
    attributes.runtime_ns = kTurnNs;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        conf::log_debug("no short turns reason=\"{}\"", std::strerror(errno));
}

bool may_go_first(bool goes_first, double share) {
    return share < (goes_first ? kMuch : kLittle);
}

bool Precedence::claim(std::uint64_t now_ns) {
    goes_first_ = go_first();
    if (goes_first_) begin(now_ns, used_ns());
    return goes_first_;
}

void Precedence::begin(std::uint64_t now_ns, std::uint64_t used_ns) {
    begun_ns_ = now_ns;
    used_ns_ = used_ns;
    next_look_ns_ = now_ns + kLookNs;
}

void Precedence::weigh(std::uint64_t now_ns) {
    const std::uint64_t used = used_ns();
    const double share =
        static_cast<double>(used - used_ns_) / static_cast<double>(now_ns - begun_ns_);
    const bool may = may_go_first(goes_first_, share);
    if (may != goes_first_ && (may ? go_first() : be_one_of_many())) goes_first_ = may;
    begin(now_ns, used);
}

}  // namespace tidepool::loop
