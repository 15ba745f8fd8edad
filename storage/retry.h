// Whether, when and how a failed call to a store is made again (contracts: b2-s3.md 7). Pure.
#pragma once

#include "storage/s3_errors.h"

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

namespace tidepool::storage {

struct RetryLimits {
    // The first included. One with a new token is made even where these are used up.
    unsigned tries = 6;
    std::chrono::milliseconds first{1'000};     // the longest wait before the second try
    std::chrono::milliseconds most{64'000};     // of any wait; Retry-After is cut to it too
    std::chrono::milliseconds budget{300'000};  // from the first try on; no try begins after it
};

// From 0 up to 1, by a generator of the calling thread's own.
double random_part();

// The story of one call. Not shared between threads; may live on an event loop.
class RetryPlan {
  public:
    using Time = std::chrono::steady_clock::time_point;
    // A number in [0, 1).
    using Random = std::function<double()>;

    RetryPlan(const RetryLimits& limits, Random random, Time now)
        : limits_(limits), random_(std::move(random)), start_(now) {}

    // How long to wait before the next try; nothing where the failure is final. Waits are between
    // 0 and a bound that doubles each time ("full jitter"), so that many who failed together do not
    // come back together. What the store asks for by Retry-After is the least.
    std::optional<std::chrono::milliseconds> next(const StoreFailure& failure, Time now);

    unsigned tries() const { return tries_; }

  private:
    bool may_try(NextTry next);

    RetryLimits limits_;
    Random random_;
    Time start_;
    unsigned tries_ = 1;
    bool clock_corrected_ = false;
    bool token_renewed_ = false;
};

}  // namespace tidepool::storage
