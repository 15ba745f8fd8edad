// Threads for calls that block, and the way to await one from a loop.
#pragma once

#include "conf/error.h"
#include "proxy/loop/arrivals.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/semaphore.h"

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
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

// A fixed number of threads with a bounded queue. Any thread may submit, and never waits for that:
// a loop would wait for a thread of the pool that stands back and was put off with a lock. The pool
// outlives all that is submitted: destroying it runs what is queued and joins.
class WorkerPool {
  public:
    // `threads` >= 1; with one thread all lanes share it. Each lane has a queue of `queue_limit`,
    // so that bulk work that waits does not keep quick work out. `name` shows in ps and top (15
    // characters). `patience_ms`: see offload_within(); 0 = endless.
    WorkerPool(std::string name, unsigned threads, std::size_t queue_limit,
               std::uint64_t patience_ms = 0);
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // False: the queue is full and the work was not taken.
    bool submit(Lane lane, std::move_only_function<void()> work);

    const std::string& name() const { return name_; }
    std::uint64_t patience_ms() const { return patience_ms_; }
    // Threads whose call has run for longer than that, as what it asks does not answer.
    unsigned overdue() const { return count_overdue(0); }
    // Whether that is so of all threads that take such work.
    bool is_stuck(Lane lane) const;
    // Whether the calling thread is one of some pool's.
    static bool is_on_worker();

    std::size_t queued() const;
    std::uint64_t rejected() const { return rejected_.load(std::memory_order_relaxed); }

  private:
    struct Work {
        std::move_only_function<void()> call;
        Lane lane;
        Work* next = nullptr;  // of Arrivals
    };
    using Queue = std::deque<std::unique_ptr<Work>>;

    void work_loop(std::size_t number);
    bool takes_bulk(std::size_t number) const { return number > 0 || begun_ms_.size() == 1; }
    unsigned count_overdue(std::size_t from) const;
    // These two under the mutex. The second: the queue whose turn it is; none where those that are
    // taken from are empty.
    void take_incoming();
    Queue* next_queue(bool takes_bulk);

    std::string name_;
    std::size_t queue_limit_;
    std::uint64_t patience_ms_;
    std::atomic<std::uint64_t> rejected_ = 0;
    Arrivals<Work> incoming_;
    std::array<std::atomic<std::size_t>, 3> queued_{};  // by lane, incoming or in its queue
    std::mutex mutex_;       // of the threads of the pool, which nobody else waits for
    Semaphore quick_ready_;  // the thread without bulk waits here
    Semaphore any_ready_;
    std::array<Queue, 3> queues_;  // by lane
    bool ending_ = false;
    std::vector<std::atomic<std::uint64_t>> begun_ms_;  // by thread, its call; 0: it has none
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

// As offload(), for as long as the pool's patience lasts: then, and at once while the pool is
// stuck, it is ErrorKind::timed_out. The call may go on long after that, with a result that nobody
// sees, so it owns all that it touches, but for what lives as long as the pool.
template <class Call>
class OffloadWithin {
  public:
    using ResultType = std::invoke_result_t<Call&>;

    OffloadWithin(Loop& loop, WorkerPool& pool, Lane lane, std::uint64_t patience_ms, Call call)
        : loop_(loop),
          pool_(pool),
          lane_(lane),
          patience_ms_(patience_ms),
          state_(std::make_shared<State>(std::move(call))),
          deadline_(loop.wheel(), &OffloadWithin::give_up, this) {}

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        if (pool_.is_stuck(lane_)) {
            state_->result.emplace(
                fail(ErrorKind::timed_out, "'" + pool_.name() + "' does not answer"));
            return false;
        }
        waiter_ = waiter;
        const bool taken = pool_.submit(lane_, [state = state_, &loop = loop_, waiter]() mutable {
            if (!state->is_awaited() || !state->end(state->call())) return;
            state.reset();  // here, unless who waits still has it
            loop.post(waiter);
        });
        if (!taken) {
            state_->result.emplace(
                fail(ErrorKind::overloaded, "queue of workers '" + pool_.name() + "' is full"));
            return false;
        }
        if (patience_ms_ > 0) deadline_.set(loop_.now_ms() + patience_ms_);
        return true;
    }
    ResultType await_resume() {
        if (is_given_up_)
            return fail(ErrorKind::timed_out, "'" + pool_.name() + "' has not answered in time");
        return std::move(*state_->result);
    }

  private:
    struct State {
        explicit State(Call its_call) : call(std::move(its_call)) {}
        bool is_awaited() {
            const std::lock_guard lock(mutex);
            return !is_given_up;
        }
        // False: nobody waits for it any more.
        bool end(ResultType made) {
            const std::lock_guard lock(mutex);
            if (is_given_up) return false;
            result.emplace(std::move(made));
            return true;
        }
        Call call;
        std::mutex mutex;
        std::optional<ResultType> result;
        bool is_given_up = false;
    };

    static void give_up(void* self) {
        auto& offload = *static_cast<OffloadWithin*>(self);
        {
            State& state = *offload.state_;
            const std::lock_guard lock(state.mutex);
            if (state.result) return;  // on its way to us
            state.is_given_up = offload.is_given_up_ = true;
        }
        offload.waiter_.resume();
    }

    Loop& loop_;
    WorkerPool& pool_;
    Lane lane_;
    std::uint64_t patience_ms_;
    std::shared_ptr<State> state_;
    Deadline deadline_;
    std::coroutine_handle<> waiter_;
    bool is_given_up_ = false;
};

template <class Call>
OffloadWithin<Call> offload_within(Loop& loop, WorkerPool& pool, Lane lane, Call call) {
    return {loop, pool, lane, pool.patience_ms(), std::move(call)};
}
// With a patience of its own.
template <class Call>
OffloadWithin<Call> offload_within(Loop& loop, WorkerPool& pool, Lane lane,
                                   std::uint64_t patience_ms, Call call) {
    return {loop, pool, lane, patience_ms, std::move(call)};
}

}  // namespace tidepool::loop
