// What is done now and then beside the jobs: counting, forgetting, looking for what is missing.
#pragma once

#include "conf/settings.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/resumable_spool.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace tidepool::serve {

// On a thread of its own.
class JobChores {
  public:
    // Both outlive it.
    JobChores(const conf::Settings& settings, storage::Catalog& catalog,
              storage::DriverSet& drivers);
    // As stop().
    ~JobChores();
    JobChores(const JobChores&) = delete;
    JobChores& operator=(const JobChores&) = delete;

    // Called with the chores, every few seconds, on their thread. Before start().
    void also(std::function<void()> chore) { also_ = std::move(chore); }
    void start();
    // Waits for what is being done.
    void stop();

    struct State {
        std::vector<storage::JobCount> jobs;         // as of the last minute
        std::optional<std::int64_t> oldest_purge_s;  // when it was queued; nothing: none is open
        std::uint64_t failing_purges = 0;            // that are open, and whose last attempt failed
        std::optional<std::uint64_t> drift_bytes;  // by how much the accounts are not what the rows
                                                   // sum up to, of all pools; nothing: not counted
    };
    // Any thread.
    State state() const;

  private:
    using Clock = std::chrono::steady_clock;
    struct Due {
        Clock::duration every;
        Clock::time_point next{};
        bool is_now(Clock::time_point now);
    };

    void run();
    void do_what_is_due();
    void forget_deletions();
    void resume_deletions();
    void forget_calls();
    void clean_uploads();
    void clean_resumables(bool with_strays);
    void look_for_backups();
    void count_jobs();
    void tell_of_purges();
    void recount();

    storage::Catalog& catalog_;
    storage::DriverSet& drivers_;
    storage::ResumableSpool resumables_;
    const std::int64_t remember_s_;
    const bool has_zone_;
    bool has_told_of_purges_ = false;
    std::function<void()> also_;
    Due deletions_;
    Due strays_;
    Due backups_;
    Due counting_;
    Due recounting_;
    mutable std::mutex mutex_;
    std::condition_variable ending_;
    bool is_ending_ = false;
    State state_;
    std::thread thread_;
};

}  // namespace tidepool::serve
