// One event loop: a thread's sockets, clock, deadlines and the tasks that live on it.
//
// libuv's loop does what is not per request: waking from other threads, and timers. Sockets stand
// in an epoll set of our own, which also watches libuv's (uv_backend_fd, made for embedding it):
// libuv is level-triggered, asks the kernel about every ready descriptor twice and removes a
// closing one by a call of its own, which together were a tenth of a small answer's price.
#pragma once

#include "proxy/loop/arrivals.h"
#include "proxy/loop/call_batch.h"
#include "proxy/loop/precedence.h"
#include "proxy/loop/task_group.h"
#include "proxy/loop/timer_wheel.h"

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <sys/epoll.h>
#include <uv.h>

namespace tidepool::loop {

// Is told what happens at a descriptor.
class Watcher {
  public:
    // `events` as in epoll_wait(2). May destroy the watcher, and any other.
    virtual void on_events(std::uint32_t events) = 0;
    // After Loop::receive_soon(), where it is still wanted: sets what is to be received.
    virtual bool wants_to_receive(SocketCall&) { return false; }
    // That was made, with this result. May destroy as on_events().
    virtual void received(std::int64_t) {}

  protected:
    ~Watcher() = default;
};

// Everything not marked otherwise belongs to the thread that runs the loop.
class Loop {
  public:
    Loop();
    // The loop must have run to its end (see run) or never have started.
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    // Runs until stop() was called and every task of the group has ended.
    void run();
    // Lets run() return as soon as the tasks are done.
    void stop();

    // Runs `work` on the loop's thread, soon, but not from here. Any thread, and cheap from the
    // loop's own; the loop must be alive.
    void post(std::move_only_function<void()> work);
    void post(std::coroutine_handle<> handle) {
        post([handle] { handle.resume(); });
    }

    // Tells `watcher` of these events (epoll_ctl(2)) at `fd`, until one of the two below.
    void watch(int fd, std::uint32_t events, Watcher& watcher);
    // Before a descriptor is closed that nobody else holds: closing takes it out of the kernel's
    // set.
    void forget(int fd) { watchers_[static_cast<std::size_t>(fd)] = nullptr; }
    // For one that stays open, here or in another process.
    void unwatch(int fd);
    // From on_events() of the descriptor's watcher: has it receive together with others of which
    // something was told at the same time.
    void receive_soon(int fd) { receivers_.push_back(fd); }
    // Has the kernel make calls of many by one of its own where that is possible. On the loop's
    // thread, before run().
    void open_ring() { batch_.open_ring(); }
    // It can: what is gathered (receive_soon(), make()) costs less than what is not.
    bool gathers() const { return batch_.has_ring(); }
    // Has the calling thread, which is to run it, go before others where that helps; see
    // Precedence, also for how it fails.
    Result<void> claim_precedence() { return precedence_.claim(clock_ns()); }

    // The monotonic clock, read anew: nanoseconds.
    static std::uint64_t clock_ns();
    // The same when this iteration began.
    std::uint64_t now_ns() const { return now_ns_; }
    // When this iteration began: seconds since 1970, good to some milliseconds.
    std::int64_t wall_s() const { return wall_s_; }
    // The loop's clock: monotonic, read once per iteration, milliseconds.
    std::uint64_t now_ms() const { return uv_now(&loop_); }

    // Waits on the loop, to the wheel's precision (TimerWheel::kTickMs). Who may have to end the
    // wait keeps it in a variable.
    class Delay {
      public:
        Delay(Loop& loop, std::uint64_t wait_ms)
            : loop_(loop), wait_ms_(wait_ms), deadline_(loop.wheel_, &Delay::due, this) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) {
            waiter_ = waiter;
            deadline_.set(loop_.now_ms() + wait_ms_);
        }
        void await_resume() const noexcept {}
        // Ends the wait now, if somebody waits; from the bottom of the stack only, as it resumes.
        void cut() {
            deadline_.clear();
            if (waiter_) std::exchange(waiter_, nullptr).resume();
        }

      private:
        static void due(void* self) {
            std::exchange(static_cast<Delay*>(self)->waiter_, nullptr).resume();
        }
        Loop& loop_;
        std::uint64_t wait_ms_;
        Deadline deadline_;
        std::coroutine_handle<> waiter_;
    };
    Delay delay(std::uint64_t wait_ms) { return {*this, wait_ms}; }

    // Lets everything else that is ready on this loop go first.
    class Yield {
      public:
        explicit Yield(Loop& loop) : loop_(loop) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) { loop_.post(waiter); }
        void await_resume() const noexcept {}

      private:
        Loop& loop_;
    };
    Yield yield() { return Yield(*this); }

    // Makes a call together with those of others that are answered in this iteration. Its result is
    // in it then.
    class Call {
      public:
        Call(Loop& loop, SocketCall& call) : loop_(loop), call_(call) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) {
            loop_.calls_.push_back({&call_, waiter});
        }
        void await_resume() const noexcept {}

      private:
        Loop& loop_;
        SocketCall& call_;
    };
    Call make(SocketCall& call) { return {*this, call}; }

    // For a piece of work of which many may be ready at once, each longer than a small answer
    // takes: of those that stand back some go on in an iteration, the longest waiting ones, behind
    // everything else that was ready, until kBehindNs are over. So others wait for that long and
    // one such piece at most, not for all.
    class StandBack {
      public:
        explicit StandBack(Loop& loop) : loop_(loop) {}
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) { loop_.behind_.push_back(waiter); }
        void await_resume() const noexcept {}

      private:
        Loop& loop_;
    };
    StandBack stand_back() { return StandBack(*this); }
    static constexpr std::uint64_t kBehindNs = 200'000;

    // Longest time by which the clock's tick came late since the last call: how long the loop was
    // busy or off the CPU. Any thread.
    std::uint64_t take_worst_lag_ms();

    TimerWheel& wheel() { return wheel_; }
    TaskGroup& tasks() { return tasks_; }
    // For what libuv has threads for (see Lookup).
    uv_loop_t& uv() { return loop_; }

  private:
    void iterate();
    void tell(std::span<const epoll_event> events);
    void make_receives();
    void make_calls();
    void read_clocks();
    void run_posted();
    void run_posted_here();
    void run_work(std::move_only_function<void()>& work);
    void run_behind();
    void tick();

    uv_loop_t loop_{};
    uv_timer_t ticker_{};
    int epoll_ = -1;
    int wake_ = -1;                   // by post()
    std::vector<Watcher*> watchers_;  // by descriptor
    bool uv_ready_ = false;           // in this iteration
    bool is_posted_ = false;          // in this iteration
    std::uint64_t now_ns_ = 0;
    std::int64_t wall_s_ = 0;
    Precedence precedence_;
    TimerWheel wheel_;
    TaskGroup tasks_;
    bool stopping_ = false;
    std::uint64_t last_tick_ms_ = 0;
    std::atomic<std::uint64_t> worst_lag_ms_ = 0;

    std::atomic<std::thread::id> thread_;                       // that runs it
    std::vector<std::move_only_function<void()>> posted_here_;  // by that thread
    std::deque<std::coroutine_handle<>> behind_;                // see stand_back()

    // Calls that are waited for.
    struct Waiting {
        SocketCall* call;
        std::coroutine_handle<> waiter;
    };
    CallBatch batch_;
    std::vector<Waiting> calls_;       // see make()
    std::vector<Waiting> being_made_;  // of them
    std::vector<SocketCall*> handed_over_;
    std::vector<int> receivers_;        // see receive_soon()
    std::vector<SocketCall> receives_;  // theirs

    struct Posted {
        std::move_only_function<void()> work;
        Posted* next = nullptr;  // of Arrivals
    };
    Arrivals<Posted> posted_;  // by others
};

}  // namespace tidepool::loop
