// A timer to the millisecond, for waits that are shorter than the wheel's tick.
#pragma once

#include "proxy/loop/loop.h"

#include <cstdint>

namespace tidepool::loop {

// Costs a call of libuv's each time it is set, unlike a Deadline. Loop thread only; the loop must
// outlive it.
class PreciseTimer {
  public:
    using Callback = void (*)(void* owner);

    PreciseTimer(Loop& loop, Callback callback, void* owner);
    ~PreciseTimer();
    PreciseTimer(const PreciseTimer&) = delete;
    PreciseTimer& operator=(const PreciseTimer&) = delete;

    // The callback runs once, from the loop, after this time, unless it is set anew or stopped.
    void start(std::uint64_t wait_ms);
    void stop();

  private:
    struct Handle;
    Handle* handle_;  // freed by libuv's close callback
};

}  // namespace tidepool::loop
