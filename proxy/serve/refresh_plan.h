// When the next download authorization is fetched. Pure.
#pragma once

#include "conf/error.h"

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>

namespace tidepool::serve {

// Not shared between threads without a lock.
class RefreshPlan {
  public:
    using Time = std::chrono::steady_clock::time_point;
    // A number in [0, 1).
    using Random = std::function<double()>;

    // Rounds that may begin in any minute, whoever wants them: a bucket that refuses each new token
    // costs no more than that. A token of the shortest lifetime is renewed less often.
    static constexpr std::size_t kMostAMinute = 6;

    explicit RefreshPlan(Random random) : random_(std::move(random)) {}

    // From when on a round may begin: because somebody cannot go on without (`wanted`), or else in
    // good time before the last token ends. Before anything was fetched that is at once.
    Time due(bool wanted) const;

    void began(Time now);
    // A token that was asked for at `begun` is good for `lifetime`. It is renewed when between a
    // half and a third of that is left, at a moment by chance, so that many servers that began
    // together do not come together.
    void succeeded(Time begun, std::chrono::seconds lifetime);
    // The next round waits, longer each time: up to a minute, or up to five where somebody must
    // mend something first. What the store asks for by Retry-After is the least, within that.
    void failed(Time now, const Error& error);

  private:
    Random random_;
    Time renew_at_ = Time::min();
    Time not_before_ = Time::min();
    unsigned failures_ = 0;   // since the last success
    std::deque<Time> begun_;  // the last kMostAMinute
};

}  // namespace tidepool::serve
