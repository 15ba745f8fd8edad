// Does the jobs of the catalog, on threads of its own.
#pragma once

#include "storage/catalog.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tidepool::storage {

// A job that is being done, as its handler sees it. Any thread.
class JobRun {
  public:
    JobRun(JobRecord job, std::int64_t lease_until_s)
        : job_(std::move(job)), lease_until_s_(lease_until_s) {}

    const JobRecord& job() const { return job_; }
    JobLease lease() const { return {job_.id, job_.lease_owner}; }
    // False: it is somebody else's by now, or was cancelled, or all is to end. To be asked before
    // each step that changes something outside of the catalog; true holds for longer than a step's
    // calls can take.
    bool goes_on() const;
    // For whoever looks at the job, and for its next attempt; written down by the next renewal.
    void note(std::string progress);

  private:
    friend class JobRunner;
    const JobRecord job_;
    std::atomic<std::int64_t> lease_until_s_;
    std::atomic<bool> ended_ = false;
    mutable std::mutex mutex_;
    std::optional<std::string> progress_;  // not written yet
};

// How an attempt ended.
struct JobEnd {
    enum class Kind : std::uint8_t {
        done,
        relocates,  // done as soon as the catalog has been told of the new place of its objects
        failed,
        put_off,      // nothing was tried, as it is not the time
        interrupted,  // it is not at its end, and goes on as soon as somebody takes it again
    };
    Kind kind = Kind::done;
    std::optional<Error> error{};  // of failed
    bool changed_nothing = false;  // of failed: it was not begun
    std::int64_t seconds = 0;      // of put_off: until it may be taken again
    // Of done: it need not be written down at once. Not where the same job may be queued anew for
    // what comes while this one still stands there.
    bool may_wait = false;
    // Of relocates. `then` is called once, on any thread, with what came of it; nothing: it was
    // done, else the job ended like that instead.
    std::shared_ptr<const Relocation> relocation{};
    std::function<std::optional<JobEnd>(Result<void>)> then{};

    static JobEnd done() { return {}; }
    static JobEnd done_soon() {
        JobEnd end;
        end.may_wait = true;
        return end;
    }
    static JobEnd relocates(Relocation relocation,
                            std::function<std::optional<JobEnd>(Result<void>)> then) {
        JobEnd end;
        end.kind = Kind::relocates;
        end.relocation = std::make_shared<const Relocation>(std::move(relocation));
        end.then = std::move(then);
        return end;
    }
    static JobEnd failed(Error error) {
        JobEnd end;
        end.kind = Kind::failed;
        end.error = std::move(error);
        return end;
    }
    static JobEnd refused(Error error) {
        JobEnd end = failed(std::move(error));
        end.changed_nothing = true;
        return end;
    }
    static JobEnd interrupted() {
        JobEnd end;
        end.kind = Kind::interrupted;
        return end;
    }
    static JobEnd put_off(std::int64_t seconds) {
        JobEnd end;
        end.kind = Kind::put_off;
        end.seconds = seconds;
        return end;
    }
};

// Writes down how an attempt ended, and logs what failed; false where the job is somebody else's by
// now.
Result<bool> end_job(Catalog& catalog, const JobRecord& job, const JobEnd& end);

// Takes jobs of the kinds that it has handlers for, by leases that it renews, so that those of a
// process that died are taken over. A lane's jobs run side by side up to its limit; one whose jobs
// wait or fail holds up no other. Moves and cleans that were done are written down several at a
// time: soon, and before its threads run out of work.
class JobRunner {
  public:
    using Handler = std::function<JobEnd(JobRun&)>;
    // How many jobs of this lane may run here beside these, by lane.
    using Running = std::map<std::string, std::size_t>;
    using Room = std::function<std::size_t(const std::string& lane, const Running& running)>;
    struct Options {
        unsigned threads = 4;
        std::int64_t lease_s = 300;
        std::int64_t look_ms = 1'000;  // how often it looks for what others have queued
        std::int64_t keep_s = 0;       // finished jobs are forgotten after this; 0 = never
        // No job has a reason to wait for longer: one that does was put off while the clock was
        // ahead, and comes after this. 0 = any may.
        std::int64_t most_wait_s = 0;
        Room room{};  // none: as many as there are threads
    };

    // The catalog outlives it.
    JobRunner(Catalog& catalog, Options options);
    // As stop().
    ~JobRunner();
    JobRunner(const JobRunner&) = delete;
    JobRunner& operator=(const JobRunner&) = delete;

    // Before start(). A type is the first word of its lanes' names.
    void handle(const std::string& type, Handler handler);
    void start();
    // Takes no more, and tells those that run to end. Never blocks.
    void ask_to_stop();
    // The same, and waits for them. What they have not finished may be taken by others at once.
    void stop();
    // Something was queued that is due.
    void look();

    struct Counters {
        std::uint64_t done = 0;
        std::uint64_t failed = 0;  // attempts, by class of their errors not told apart
        std::size_t running = 0;
    };
    Counters counters() const;
    // Whether one is held here, or is due that could be. Blocks on the catalog.
    Result<bool> has_work() const;

  private:
    struct Active {
        enum class State : std::uint8_t { waits, runs, ended };  // the first for a thread
        std::shared_ptr<JobRun> run;
        State state = State::waits;
        JobEnd end{};  // of one that has ended: it is to be written down
    };
    using Clock = std::chrono::steady_clock;

    void dispatch();
    bool must_settle(Clock::time_point now) const;
    void settle(std::list<Active>& ended);
    std::list<Active> take_ended();
    void adapt(Clock::time_point now);
    void work();
    void take();
    void renew_all();
    void house_keeping();
    bool handles(std::string_view lane) const;
    std::size_t room_of(const std::string& lane, const Running& held) const;
    std::size_t most_of(const std::string& lane) const;
    std::pair<std::map<std::string, std::size_t>, std::size_t> held_by_lane() const;
    std::vector<Catalog::LaneWant> wants(const std::vector<OpenLane>& lanes, std::int64_t now_s);
    JobEnd run_one(JobRun& run);
    void end(const JobRun& run, const JobEnd& end);
    void report(const JobRecord& job, JobEnd::Kind kind, const Result<bool>& ended);
    std::size_t count(Active::State state) const;

    Catalog& catalog_;
    const Options options_;
    const std::string owner_;
    std::map<std::string, Handler, std::less<>> handlers_;

    mutable std::mutex mutex_;
    std::condition_variable dispatcher_;  // something ended, was queued, or all is to end
    std::condition_variable workers_;     // something was taken
    bool stopping_ = false;
    bool look_now_ = true;
    bool is_taking_ = false;  // what was taken may not stand in active_ yet
    std::list<Active> active_;
    Clock::time_point first_ended_{};  // when the longest waiting of them ended
    std::size_t ends_ = 0;             // jobs that ended since adapted_
    Counters counters_;
    // The dispatcher's own.
    std::size_t ahead_;  // jobs that are held beside as many as may run
    Clock::time_point adapted_{};
    std::size_t turn_ = 0;  // which lane is asked first
    std::uint64_t takes_ = 0;
    std::vector<std::thread> threads_;
};

}  // namespace tidepool::storage
