// The right to read a private bucket by its friendly URL: a token that is kept fresh in the
// background, and given to whoever fetches, on any loop.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"
#include "proxy/serve/b2_authorizer.h"
#include "proxy/serve/refresh_plan.h"
#include "storage/retry.h"
#include "storage/s3_errors.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tidepool::serve {

// One for each such pool, with a thread of its own that makes the blocking calls: one round of them
// at a time, however many wait. A token is renewed long before its end, and while it is good nobody
// waits; so requests wait only for the first one, and where the store has refused the last one.
//
// Any thread but where it says otherwise.
class DownloadAuthorization {
  public:
    using Time = RefreshPlan::Time;
    using Grant = std::shared_ptr<const storage::DownloadGrant>;
    // Gets a token, in one try. Blocking; ends within a second once `stop` is true.
    using Fetch = std::move_only_function<std::expected<Granted, storage::StoreFailure>(
        const std::atomic<bool>& stop)>;
    class Wait;

    // `retry` bounds the tries of one round, in which requests may wait. Begins at once.
    DownloadAuthorization(std::string pool, Fetch fetch, const storage::RetryLimits& retry);
    // Not on a loop, unless stop() was called.
    ~DownloadAuthorization();
    DownloadAuthorization(const DownloadAuthorization&) = delete;
    DownloadAuthorization& operator=(const DownloadAuthorization&) = delete;

    // Ends the thread, and every wait; blocks up to a second. What is granted stays so. Not on a
    // loop.
    void stop();

    // co_await gives Result<Grant>, on `loop`. `refused` is one that did not open the bucket: it is
    // not given again; null = none. At once where there is a good one, and also where there is none
    // and the next round may not begin yet. An error's StoreDetail says `unauthorized`. Who may
    // have to end the wait keeps it in a variable.
    Wait grant(loop::Loop& loop, Grant refused);

    // To be told of every fetch with a grant that failed: where the store says that the token is
    // no good, nobody gets it any more. Gives the failure as it is to be reported.
    storage::StoreFailure judge(const Grant& grant, storage::StoreFailure failure);

    // For metrics.
    std::uint64_t rounds() const { return rounds_.load(std::memory_order_relaxed); }
    std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }
    // For which the token that is given is still good; 0 where there is none.
    std::chrono::seconds good_for(Time now) const;

  private:
    void run();
    bool wait_until_due();
    std::expected<Granted, storage::StoreFailure> fetch_with_retries();
    bool pause(std::chrono::milliseconds wait);
    void publish(std::expected<Granted, storage::StoreFailure> result);
    void wake_all();
    // With the lock held.
    bool is_good(Time now) const { return current_ && now < good_until_; }
    std::optional<Result<Grant>> answer(const Grant& refused, bool is_round_over, Time now);
    Error refusal(Time now) const;

    const std::string pool_;
    Fetch fetch_;  // of the thread
    const storage::RetryLimits retry_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    RefreshPlan plan_;
    Grant current_;  // null where there is none that could be good
    Time good_until_{};
    std::optional<Error> error_;  // of the last round, where it failed
    bool wanted_ = false;         // somebody cannot go on without another one
    bool running_ = false;        // a round is being made
    bool ended_ = false;
    std::vector<Wait*> waits_;

    std::atomic<bool> stop_ = false;
    std::atomic<std::uint64_t> rounds_ = 0;
    std::atomic<std::uint64_t> failures_ = 0;
    std::thread thread_;
};

// Of a pool that is about to be served. `gate` is the pool's and must outlive it.
std::unique_ptr<DownloadAuthorization> keep_authorized(const conf::PoolSettings& settings,
                                                       storage::StoreGate& gate,
                                                       const conf::OriginSettings& origin);

class DownloadAuthorization::Wait {
  public:
    Wait(DownloadAuthorization& owner, loop::Loop& loop, Grant refused)
        : owner_(owner), loop_(loop), refused_(std::move(refused)) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    Result<Grant> await_resume() { return std::move(*result_); }
    // Ends the wait now, if somebody waits; from the bottom of the stack only, as it resumes.
    void cut();

  private:
    friend class DownloadAuthorization;

    DownloadAuthorization& owner_;
    loop::Loop& loop_;
    const Grant refused_;
    std::optional<Result<Grant>> result_;  // under the owner's lock, until it is resumed
    std::coroutine_handle<> waiter_;
};

}  // namespace tidepool::serve
