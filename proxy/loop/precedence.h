// How the kernel shares processors between loops and those who work beside them.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace tidepool::loop {

// Asks the kernel to give the calling thread short turns, which is what lets it begin at once when
// it wakes up, although another thread's turn is not over: a worker that makes variants would else
// be let go on for some milliseconds, however far it stands back. Processes that it starts have
// turns of the usual length. Linux from 6.12 on knows that (sched_setattr(2) with a runtime, for
// SCHED_OTHER); an older one leaves all as it was.
void ask_for_short_turns();

// Whether a thread is to go before others, by one look after the other at the time since the last
// one: which share of it the thread had a processor (`used`), and which it wanted one and had to
// wait (`waited`).
class Standing {
  public:
    // True: from now on it is to go first.
    bool look(double used, double waited);

    // Who takes hardly anything goes first, and who had to wait in so many looks in a row.
    static constexpr unsigned kWaits = 2;
    // Who goes first waits for nobody, so whether anybody would still make it wait is seen by not
    // going first: after so many looks.
    static constexpr unsigned kLooksFirst = 250;
    // Who took too much does not go first for so many looks, however long it has to wait.
    static constexpr unsigned kLooksBack = 5;

  private:
    bool goes_first_ = false;
    bool had_to_wait_ = false;  // and goes first for that
    unsigned looks_ = 0;        // since then, or in which it had to wait
    unsigned looks_back_ = 0;
};

// Lets one thread go before all that is not real-time (SCHED_RR) while it takes hardly anything of
// its processor, or others make it wait and it takes little: a fair scheduler lets it wait for
// whoever has waited for longer, by milliseconds. With much to do it is one of many, so that a
// flood of requests leaves the others their share: a shell, the disks' threads. So is who waits for
// nobody, as a real-time thread is woken for each packet and another one for several. Its processes
// and threads do not go first. That thread only.
class Precedence {
  public:
    // `counts`: what the kernel says of the time that the thread had a processor, and had to wait
    // for one (proc(5), schedstat).
    explicit Precedence(std::string counts = "/proc/thread-self/schedstat")
        : path_(std::move(counts)) {}

    // For the calling thread. Fails where the process may not (see sched(7), RLIMIT_RTPRIO) or the
    // kernel does not count how long threads wait; then nothing changes. It has asked for short
    // turns before.
    Result<void> claim(std::uint64_t now_ns);

    // To be called often, with the monotonic clock. Costs a system call every kLookNs.
    void look(std::uint64_t now_ns) {
        if (now_ns >= next_look_ns_) weigh(now_ns);
    }

    static constexpr std::uint64_t kLookNs = 20'000'000;

  private:
    // Of the thread, since it began: nanoseconds.
    struct Times {
        std::uint64_t used = 0;
        std::uint64_t waited = 0;
    };
    Result<Times> read_times() const;
    void begin(std::uint64_t now_ns, const Times& times);
    void weigh(std::uint64_t now_ns);

    Standing standing_;
    bool goes_first_ = false;
    std::string path_;
    conf::Descriptor counts_;
    // When it looked last.
    std::uint64_t looked_ns_ = 0;
    Times times_;
    std::uint64_t next_look_ns_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace tidepool::loop
