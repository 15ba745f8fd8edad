// A counting semaphore by which a loop wakes threads.
#pragma once

#include <cerrno>
#include <chrono>
#include <ctime>

#include <semaphore.h>

namespace tidepool::loop {

// Of this process's threads. post() never waits for anybody, where glibc's pthread_cond_signal()
// may wait until those that were woken before have run: a loop would wait for threads that stand
// back behind it. (std::counting_semaphore of this compiler's library spins before it waits.)
class Semaphore {
  public:
    Semaphore() { sem_init(&semaphore_, 0, 0); }
    ~Semaphore() { sem_destroy(&semaphore_); }
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    void post() { sem_post(&semaphore_); }
    // Until there was a post that nobody else has taken.
    void wait() {
        while (sem_wait(&semaphore_) != 0 && errno == EINTR) {
        }
    }

    // False: there was none in that time.
    bool wait_for(std::chrono::milliseconds time) {
        timespec until{};
        clock_gettime(CLOCK_MONOTONIC, &until);
        const auto sum = std::chrono::nanoseconds(until.tv_nsec) + time;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(sum);
        until.tv_sec += seconds.count();
        until.tv_nsec = (sum - seconds).count();
        int failed = 0;
        while ((failed = sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &until)) != 0 &&
               errno == EINTR) {
        }
        return failed == 0;
    }

  private:
    sem_t semaphore_{};
};

}  // namespace tidepool::loop
