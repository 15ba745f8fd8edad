// Stops asking a store that cannot answer, and finds out when it can again.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace tidepool::storage {

// How a call ended, as far as a breaker cares.
enum class Outcome : std::uint8_t {
    answered,  // also by 404 or 403: the store works
    failed,    // 5xx, a timeout, a broken connection
    capped,    // the store refuses because of a cap: more calls change nothing
};

struct BreakerLimits {
    std::chrono::milliseconds window{30'000};   // over which failures are counted
    std::uint64_t min_calls = 20;               // fewer in the window open nothing
    std::uint64_t failure_percent = 20;         // more than this of the window's calls open it
    std::chrono::milliseconds open_for{5'000};  // until the first probe; doubled by each that fails
    std::chrono::milliseconds open_at_most{120'000};
    std::chrono::milliseconds capped_for{600'000};    // until a probe after a cap
    std::chrono::milliseconds probe_timeout{60'000};  // a probe that never reports is forgotten
};

// A circuit breaker. Any thread, an event loop's too: a mutex is held for some additions. `now` is
// of a monotonic clock, always the same.
class Breaker {
  public:
    using Time = std::chrono::steady_clock::time_point;
    enum class State : std::uint8_t { closed, open, half_open };

    explicit Breaker(const BreakerLimits& limits = {}) : limits_(limits) {}

    // True where a call may be made; it must be reported afterwards. While half-open that is one
    // call at a time.
    bool allow(Time now);
    void report(Outcome outcome, Time now);
    // Instead of report(), where the call was not made after all or failed for a reason of ours: a
    // probe may be sent by another.
    void abandon();

    State state(Time now) const;
    // Until the next probe; 0 where calls are allowed.
    std::chrono::milliseconds retry_after(Time now) const;
    // How often it has opened, for metrics.
    std::uint64_t times_opened() const;
    // True while it is open because of a cap.
    bool is_capped() const;

  private:
    static constexpr std::size_t kSlots = 10;  // the window's parts; the oldest goes at a time
    struct Slot {
        std::int64_t number = -1;  // of the part since the clock's start
        std::uint64_t calls = 0;
        std::uint64_t failures = 0;
    };

    void open(std::chrono::milliseconds duration, Time now);
    void close();
    void count(bool failure, Time now);
    bool is_failing(Time now) const;
    std::int64_t slot_number(Time now) const;

    const BreakerLimits limits_;
    mutable std::mutex mutex_;
    State state_ = State::closed;  // open covers half-open until the first probe is let through
    bool capped_ = false;
    Time open_until_{};
    Time probe_until_{};  // half-open: a probe is out until then
    std::chrono::milliseconds next_open_{0};
    std::uint64_t times_opened_ = 0;
    std::array<Slot, kSlots> slots_{};
};

}  // namespace tidepool::storage
