// Root tasks of one loop: started here, counted until they end, joined before the loop goes.
#pragma once

#include "proxy/loop/task.h"

#include <cstddef>

namespace tidepool::loop {

// Owns tasks that nobody awaits (a connection, a background check). All calls on the loop's thread.
// The loop is only destroyed when the group is empty.
class TaskGroup {
  public:
    // Runs the task up to its first wait, at once.
    void spawn(Task<> task) {
        ++running_;
        drive(std::move(task), *this);
    }
    std::size_t running() const { return running_; }

  private:
    struct Root {
        struct promise_type {
            Root get_return_object() const noexcept { return {}; }
            std::suspend_never initial_suspend() const noexcept { return {}; }
            std::suspend_never final_suspend() const noexcept { return {}; }
            void return_void() const noexcept {}
            [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
        };
    };
    static Root drive(Task<> task, TaskGroup& group) {
        co_await std::move(task);
        --group.running_;
    }

    std::size_t running_ = 0;
};

}  // namespace tidepool::loop
