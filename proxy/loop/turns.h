// Whose turn it is, where only so many may at a time.
#pragma once

#include "proxy/loop/loop.h"

#include <coroutine>
#include <deque>
#include <utility>

namespace tidepool::loop {

// Turns are given in the order in which they were asked for. Loop thread only; outlives its turns.
class Turns {
  public:
    Turns(Loop& loop, unsigned count) : loop_(loop), free_(count) {}
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;

    // Gives the turn back when it goes.
    class Turn {
      public:
        explicit Turn(Turns& turns) : turns_(&turns) {}
        ~Turn() {
            if (turns_ != nullptr) turns_->give_back();
        }
        Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;

      private:
        Turns* turns_;
    };

    class Waiting {
      public:
        explicit Waiting(Turns& turns) : turns_(turns) {}
        bool await_ready() const noexcept {
            if (turns_.free_ == 0) return false;
            --turns_.free_;
            return true;
        }
        void await_suspend(std::coroutine_handle<> waiter) { turns_.waiting_.push_back(waiter); }
        Turn await_resume() const noexcept { return Turn(turns_); }

      private:
        Turns& turns_;
    };
    Waiting take() { return Waiting(*this); }

  private:
    void give_back() {
        if (waiting_.empty()) {
            ++free_;
            return;
        }
        loop_.post(waiting_.front());  // the turn is theirs
        waiting_.pop_front();
    }

    Loop& loop_;
    unsigned free_;
    std::deque<std::coroutine_handle<>> waiting_;
};

}  // namespace tidepool::loop
