// How often images are asked for, at this origin: counted by the loops, written into the catalog
// now and then.
#pragma once

#include "conf/settings.h"
#include "proxy/http/counters.h"
#include "storage/catalog.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace tidepool::serve {

class ViewCounter;

// What one loop has counted since it was last taken. The lock is held for one look-up, and for an
// exchange of two vectors, so the loop never waits for more than that (invariant 6).
class ViewTable {
  public:
    // Images of one interval; those that come when it is full are dropped, and counted.
    static constexpr std::size_t kSlots = 16'384;
    static constexpr std::size_t kMostUsed = kSlots / 4 * 3;

    explicit ViewTable(ViewCounter& counter) : counter_(counter), slots_(kSlots) {}

    // Of the loop's thread.
    void count(const storage::Uuid& image, std::int64_t now_s);

    struct Slot {
        storage::Uuid image{};
        std::int64_t last_s = 0;
        std::uint64_t views = 0;  // 0: it is free
    };
    // Adds what was counted to `into`. Any thread, one at a time.
    void take(std::vector<storage::ViewUpdate>& into);

    std::uint64_t counted() const { return counted_.value(); }
    std::uint64_t dropped() const { return dropped_.value(); }

  private:
    ViewCounter& counter_;
    std::mutex mutex_;
    std::vector<Slot> slots_;  // open addressing
    std::size_t used_ = 0;
    std::vector<Slot> spare_;  // of who takes; all free
    http::Counter counted_;
    http::Counter dropped_;
};

// Owns the tables, and the thread that writes. Outlives the loops.
class ViewCounter {
  public:
    ViewCounter(const conf::TieringSettings& settings, unsigned loops);
    // Writes what is left.
    ~ViewCounter();
    ViewCounter(const ViewCounter&) = delete;
    ViewCounter& operator=(const ViewCounter&) = delete;

    ViewTable& table(unsigned loop) { return *tables_[loop]; }

    // The catalog outlives it. tiering.views_flush must not be 0.
    void start(storage::Catalog& catalog);
    void change(const conf::TieringSettings& settings);
    // Writes what was counted so far. Blocks on the catalog; one at a time.
    void flush(storage::Catalog& catalog);

    // Views that were counted, and of others: for which there was no room, or which could not be
    // written.
    std::uint64_t counted() const;
    std::uint64_t dropped() const;
    std::uint64_t flushes() const { return flushes_.value(); }

  private:
    friend class ViewTable;
    void write_loop(storage::Catalog& catalog);
    // A table is getting full.
    void wake_early();

    std::vector<std::unique_ptr<ViewTable>> tables_;
    std::vector<storage::ViewUpdate> updates_;  // of who writes
    std::atomic<std::uint64_t> lost_ = 0;
    http::Counter flushes_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::chrono::milliseconds interval_;
    std::int64_t half_life_s_;
    bool is_early_ = false;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace tidepool::serve
