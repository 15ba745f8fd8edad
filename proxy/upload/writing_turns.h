// Who hashes and writes uploads, and how many of them at a time.
#pragma once

#include "proxy/loop/semaphore.h"

#include <chrono>
#include <utility>

namespace tidepool::upload {

// One core is left to who only looks at images: however far threads stand back, the kernel lets
// those that have waited for long go before a loop that wakes up, and as many as there are of them.
// Any thread.
class WritingTurns {
  public:
    explicit WritingTurns(unsigned cores) {
        for (unsigned i = 1; i < cores || i == 1; ++i)
            free_.post();
    }

    // One's turn, until this goes. False: he goes on without one.
    class Turn {
      public:
        explicit Turn(loop::Semaphore* from) : from_(from) {}
        ~Turn() {
            if (from_ != nullptr) from_->post();
        }
        Turn(Turn&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        explicit operator bool() const { return from_ != nullptr; }

      private:
        loop::Semaphore* from_;
    };
    // Waits for it, but not for long: who has one may wait for a disk that does not answer.
    Turn take() { return Turn(free_.wait_for(kPatience) ? &free_ : nullptr); }

  private:
    static constexpr std::chrono::milliseconds kPatience{100};
    loop::Semaphore free_;
};

}  // namespace tidepool::upload
