// How the kernel shares processors between loops and those who work beside them.
#pragma once

#include <cstdint>
#include <limits>

namespace tidepool::loop {

// Asks the kernel to give the calling thread short turns, which is what lets it begin at once when
// it wakes up, although another thread's turn is not over: a worker that makes variants would else
// be let go on for some milliseconds, however far it stands back. Processes that it starts have
// turns of the usual length. Linux from 6.12 on knows that (sched_setattr(2) with a runtime, for
// SCHED_OTHER); an older one leaves all as it was.
void ask_for_short_turns();

// Whether a thread that takes this share of a processor (1: all of one) goes before others from now
// on, where it did or did not until now.
bool may_go_first(bool goes_first, double share);

// Lets one thread go before all that is not real-time (SCHED_RR), as long as it takes little of its
// processor: a fair scheduler lets it wait for whoever has waited for longer, by milliseconds.
// With much to do it is one of many, so that a flood of requests leaves the others their share: a
// shell, the disks' threads. Its processes and threads do not go first. That thread only.
class Precedence {
  public:
    // For the calling thread. False where the process may not (see sched(7), RLIMIT_RTPRIO): then
    // nothing changes. It has asked for short turns before.
    bool claim(std::uint64_t now_ns);

    // To be called often, with the monotonic clock. Costs a system call every kLookNs.
    void look(std::uint64_t now_ns) {
        if (now_ns >= next_look_ns_) weigh(now_ns);
    }
    // What others can see too: sched_getscheduler(2).
    bool goes_first() const { return goes_first_; }

    static constexpr std::uint64_t kLookNs = 20'000'000;

  private:
    void weigh(std::uint64_t now_ns);
    void begin(std::uint64_t now_ns, std::uint64_t used_ns);

    bool goes_first_ = false;
    std::uint64_t begun_ns_ = 0;  // of what is weighed
    std::uint64_t used_ns_ = 0;   // of a processor until then
    std::uint64_t next_look_ns_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace tidepool::loop
