// Who calls the disk or bucket of one pool for uploads: threads of its own, so that a pool that
// hangs holds up nobody who uploads elsewhere.
#pragma once

#include "conf/error.h"
#include "proxy/loop/worker_pool.h"
#include "storage/catalog_records.h"
#include "storage/driver.h"
#include "storage/known_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace tidepool::upload {

// Any thread. Its end waits for the calls that run.
class PoolWriters {
  public:
    // How old what a disk said of its room may be.
    struct Times {
        std::chrono::milliseconds fresh{500};  // older: it is asked again
        // For what it says, counted from when it was asked: where it has said something, and where
        // there is nothing else to go by, as a machine may be busy and its disk slow.
        std::chrono::milliseconds wait{500};
        std::chrono::milliseconds first_wait{3000};
        std::chrono::milliseconds usable{5000};  // where it does not say more; then it has no room
    };
    struct Size {
        unsigned threads = 1;
        std::size_t queue = 1;
    };
    PoolWriters(conf::PoolSettings settings, Size size, Times times);
    PoolWriters(conf::PoolSettings settings, Size size)
        : PoolWriters(std::move(settings), size, Times()) {}

    // Of the pool that it was made for.
    const conf::PoolSettings& settings() const { return settings_; }
    loop::WorkerPool& workers() { return workers_; }
    // How many uploads to it run; for who begins one.
    std::atomic<std::size_t>& running() { return running_; }

    // What the pool can take by its own limit and its disk, which is asked by a thread of the pool,
    // once at a time. Waits for Times::wait or first_wait at most, and not at all for a disk that
    // has not answered for as long: then `timed_out`. `driver` is the pool's. Other errors are the
    // disk's.
    Result<storage::PoolRoom> room(storage::PoolId pool,
                                   const std::shared_ptr<storage::Driver>& driver);

  private:
    using Clock = std::chrono::steady_clock;
    void ask(std::shared_ptr<storage::Driver> driver);

    const conf::PoolSettings settings_;
    const Times times_;
    std::atomic<std::size_t> running_ = 0;
    std::mutex mutex_;
    std::condition_variable told_;
    std::optional<Clock::time_point> asked_;  // nothing: it is not being asked
    std::uint64_t answers_ = 0;
    std::optional<Error> problem_;  // of the last answer
    std::optional<storage::Space> space_;
    Clock::time_point seen_{};  // when it was asked for that
    loop::WorkerPool workers_;  // last: it ends first
};

// Those of all pools, made when one is first needed. Any thread. As the finder's threads, those of
// a pool that is no longer what it was end with the process, for joining them could wait for a
// disk.
class AllPoolWriters {
  public:
    explicit AllPoolWriters(PoolWriters::Size of_each) : of_each_(of_each) {}
    PoolWriters& of(const storage::KnownPool& pool);

  private:
    struct Entry {
        storage::PoolId pool = 0;
        std::unique_ptr<PoolWriters> writers;
    };
    const PoolWriters::Size of_each_;
    std::mutex mutex_;
    std::vector<Entry> all_;
};

}  // namespace tidepool::upload
