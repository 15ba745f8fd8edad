// How fast calls may follow one another. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

namespace tidepool::serve {

// A token bucket that holds a second's calls, or more, at least one. One thread at a time.
class CallPace {
  public:
    using Clock = std::chrono::steady_clock;

    explicit CallPace(unsigned calls_per_minute, unsigned at_once = 1)
        : per_second_(calls_per_minute / kMinuteS),
          most_(std::max<double>(at_once, per_second_)),
          left_(most_) {}

    // 0: the call may be made, and counts; else how long until it may. So many are left to callers
    // that keep none, as far as the bucket holds more than that.
    std::chrono::milliseconds take(Clock::time_point now, double kept = 0) {
        const double needed = 1 + std::min(kept, most_ - 1);
        if (now < not_before_) return rounded_up(not_before_ - now);
        const std::chrono::duration<double> passed = now - std::max(at_, not_before_);
        if (at_ != Clock::time_point{})
            left_ = std::min(most_, left_ + passed.count() * per_second_);
        at_ = now;
        if (left_ < needed)
            return rounded_up(std::chrono::duration<double>((needed - left_) / per_second_));
        left_ -= 1;
        return std::chrono::milliseconds(0);
    }

    // Others have used it up: none before then.
    void hold_until(Clock::time_point time) { not_before_ = std::max(not_before_, time); }

  private:
    static constexpr double kMinuteS = 60;

    static std::chrono::milliseconds rounded_up(std::chrono::duration<double> time) {
        return std::chrono::ceil<std::chrono::milliseconds>(time);
    }

    double per_second_;
    double most_;
    double left_;
    Clock::time_point at_{};
    Clock::time_point not_before_{};
};

}  // namespace tidepool::serve
