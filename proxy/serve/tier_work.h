// Makes sweeps of the tiering policy in the background of a server.
#pragma once

#include "conf/settings.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/tier_sweep.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace tidepool::serve {

// On a thread of its own, as a sweep reads much of the catalog. Of several processes with one
// catalog one sweeps in each interval. Any thread.
class TierWork {
  public:
    // Catalog and drivers outlive it. `queued` is told when there are new jobs.
    TierWork(const conf::TieringSettings& settings, storage::Catalog& catalog,
             storage::DriverSet& drivers, std::function<void()> queued);
    // As stop().
    ~TierWork();
    TierWork(const TierWork&) = delete;
    TierWork& operator=(const TierWork&) = delete;

    void start();
    void change(const conf::TieringSettings& settings);
    // Never blocks; a sweep that runs ends first.
    void ask_to_stop();
    void stop();

    struct Counters {
        std::uint64_t sweeps = 0;
        std::uint64_t failed = 0;                                   // of these
        std::uint64_t planned = 0;                                  // moves, queued or not
        std::array<std::uint64_t, storage::kTierReasons> queued{};  // by TierReason
        std::uint64_t queued_bytes = 0;
        bool is_stopped = false;  // the last one was, since too many moves had failed
    };
    Counters counters() const;

  private:
    void run();
    enum class Wake : std::uint8_t { time, changed, stop };
    // Gives the settings as they are by then.
    Wake wait(std::chrono::milliseconds time, conf::TieringSettings& settings);
    bool is_our_turn(const conf::TieringSettings& settings);
    void sweep(const conf::TieringSettings& settings);
    void note(const storage::Sweep& sweep);

    storage::Catalog& catalog_;
    storage::DriverSet& drivers_;
    const std::function<void()> queued_;
    const std::string owner_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    conf::TieringSettings settings_;
    Counters counters_;
    bool has_changed_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace tidepool::serve
