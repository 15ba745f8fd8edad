// Task<T>: a lazy coroutine that belongs to one event loop.
//
// A Task starts when it is awaited and is awaited exactly once: `auto x = co_await std::move(task)`
// or straight from the call. A child that finishes without waiting never suspends its parent, so a
// request served from memory costs no trip through the loop and loops do not grow the stack.
// Expected failures are values (Result<T>); an exception that leaves a coroutine is a programming
// error and ends the process.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

namespace tidepool::loop {

namespace detail {

enum class Phase : std::uint8_t { created, running, waiting, done };

struct PromiseBase {
    std::coroutine_handle<> waiter;
    Phase phase = Phase::created;

    struct FinalAwaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            auto& promise = self.promise();
            const bool parent_waits = std::exchange(promise.phase, Phase::done) == Phase::waiting;
            return parent_waits ? promise.waiter : std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
};

template <class T>
struct Promise : PromiseBase {
    std::optional<T> value;
    std::coroutine_handle<Promise> get_return_object() {
        return std::coroutine_handle<Promise>::from_promise(*this);
    }
    template <class U>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }
    T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
    std::coroutine_handle<Promise> get_return_object() {
        return std::coroutine_handle<Promise>::from_promise(*this);
    }
    void return_void() const noexcept {}
    void take() const noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
  public:
    using promise_type = detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task(Handle handle)
        : handle_(handle) {}  // NOLINT(google-explicit-constructor): made by the promise
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task& operator=(Task&&) = delete;
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    // Undefined while the task waits: libraries point into suspended frames.
    ~Task() {
        if (handle_) handle_.destroy();
    }

    class Awaiter {
      public:
        explicit Awaiter(Handle child) : child_(child) {}
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<> parent) const noexcept {
            auto& promise = child_.promise();
            promise.waiter = parent;
            promise.phase = detail::Phase::running;
            child_.resume();  // to its end, or to its first real wait
            if (promise.phase == detail::Phase::done) return false;
            promise.phase = detail::Phase::waiting;
            return true;
        }
        T await_resume() const { return child_.promise().take(); }

      private:
        Handle child_;
    };

    Awaiter operator co_await() && noexcept { return Awaiter(handle_); }

  private:
    Handle handle_;
};

}  // namespace tidepool::loop
