// Threads for calls that block, and the way to await one from a loop.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tidepool::loop {

// Quick work (an open, a stat) goes before bulk work (reading contents), and one thread never takes
// bulk, so that slow reads of one file do not delay the check of another. Quick work for what is
// known to be there goes before both: anybody may ask for names that nobody has. In their order.
enum class Lane : std::uint8_t { known, quick, bulk };

// A fixed number of threads with a bounded queue. Any thread may submit. The pool outlives all that
// is submitted: destroying it runs what is queued and joins.
class WorkerPool {
  public:
    // `threads` >= 1; with one thread all lanes share it. Each lane has a queue of `queue_limit`,
    // so that bulk work that waits does not keep quick work out. `name` shows in ps and top (15
    // characters).
    WorkerPool(std::string name, unsigned threads, std::size_t queue_limit);
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // False: the queue is full and the work was not taken.
    bool submit(Lane lane, std::move_only_function<void()> work);

    const std::string& name() const { return name_; }
    std::size_t queued() const;
    std::uint64_t rejected() const { return rejected_.load(std::memory_order_relaxed); }

  private:
    void work_loop(bool takes_bulk);
    // The queue whose turn it is; none where those that are taken from are empty. Under the mutex.
    std::deque<std::move_only_function<void()>>* next_queue(bool takes_bulk);

    std::string name_;
    std::size_t queue_limit_;
    std::atomic<std::uint64_t> rejected_ = 0;
    mutable std::mutex mutex_;
    std::condition_variable quick_ready_;  // the thread without bulk waits here
    std::condition_variable any_ready_;
    std::array<std::deque<std::move_only_function<void()>>, 3> queues_;  // by lane
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

// co_await offload(loop, pool, lane, [..]() -> Result<T> {...}) runs the call on a worker and gives
// its result back on the loop. A full queue is ErrorKind::overloaded, at once. What the call
// borrows must outlive it; it cannot be cancelled.
template <class Call>
class Offload {
  public:
    using ResultType = std::invoke_result_t<Call&>;

    Offload(Loop& loop, WorkerPool& pool, Lane lane, Call call)
        : loop_(loop), pool_(pool), lane_(lane), call_(std::move(call)) {}

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        const bool taken = pool_.submit(lane_, [this, waiter] {
            result_.emplace(call_());
            loop_.post(waiter);
        });
        if (!taken) {
            result_.emplace(
                fail(ErrorKind::overloaded, "queue of workers '" + pool_.name() + "' is full"));
        }
        return taken;
    }
    ResultType await_resume() { return std::move(*result_); }

  private:
    Loop& loop_;
    WorkerPool& pool_;
    Lane lane_;
    Call call_;
    std::optional<ResultType> result_;
};

template <class Call>
Offload<Call> offload(Loop& loop, WorkerPool& pool, Lane lane, Call call) {
    return {loop, pool, lane, std::move(call)};
}

}  // namespace tidepool::loop
