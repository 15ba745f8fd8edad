#include "proxy/cli/job_wait.h"

#include "proxy/cli/output.h"
#include "proxy/cli/progress.h"
#include "proxy/serve/job_work.h"
#include "storage/job_control.h"
#include "storage/shelf.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

using State = storage::JobRecord::State;

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::seconds kMostPause{10};
constexpr std::size_t kMostShown = 20;

bool is_open(State state) {
    return state == State::queued || state == State::running;
}

// Nothing comes of it before somebody has changed the configuration, for which nobody waits here.
bool is_stuck(const storage::JobRecord& job) {
    return job.state == State::queued && job.next_run_s > now_s() &&
           (job.error_class == name_of(ErrorKind::denied) ||
            job.error_class == name_of(ErrorKind::misconfigured));
}

// A server may be told to do none; who calls this command wants them done.
conf::Settings working_settings(const Workspace& workspace) {
    conf::Settings settings = workspace.settings();
    if (settings.jobs.threads == 0) settings.jobs.threads = conf::JobSettings{}.threads;
    return settings;
}

// The server's, where there is one: what is deleted goes from it too.
std::unique_ptr<storage::Shelf> open_shelf(const Workspace& workspace) {
    const conf::ShelfSettings& settings = workspace.settings().shelf;
    if (settings.path.empty() || access(settings.path.c_str(), F_OK) != 0) return nullptr;
    auto shelf = storage::Shelf::open(settings);
    if (shelf) return std::move(*shelf);
    fmt::print(stderr, "tidepool: the shelf cannot be cleaned up: {}\n", shelf.error().text);
    return nullptr;
}

using Counts = std::map<State, std::uint64_t>;

void print_failure(const storage::JobRecord& job) {
    fmt::print(stderr, "tidepool: job {}: {}: {}{}\n", job.id, job.error_class, job.error_text,
               job.state == State::queued ? "; it stays queued, and is tried again hourly" : "");
}

// Why some of the batch failed, a line each.
void print_failures(Workspace& workspace, const std::string& batch) {
    for (const State state : {State::failed, State::queued}) {
        const auto jobs =
            workspace.catalog().list_jobs({.batch = batch, .state = state}, kMostShown);
        if (!jobs) return;
        for (const storage::JobRecord& job : *jobs)
            print_failure(job);
    }
}

// Whether that is so of all that is queued of the batch. Where it is so of many, the others do not
// get far either.
Result<bool> is_all_stuck(Workspace& workspace, const std::string& batch) {
    for (const std::size_t most : {std::size_t{1}, storage::Catalog::kPage}) {
        const auto jobs =
            workspace.catalog().list_jobs({.batch = batch, .state = State::queued}, most);
        if (!jobs) return std::unexpected(jobs.error());
        if (jobs->empty() || !std::ranges::all_of(*jobs, is_stuck)) return false;
    }
    return true;
}

// Jobs of other batches, by their ids. They end about in the order in which they were queued, so a
// look ends where so many in a row are open.
class Others {
  public:
    explicit Others(std::vector<storage::JobId> ids) : open_(std::move(ids)) {
        std::ranges::sort(open_, std::greater<>());
        const auto repeated = std::ranges::unique(open_);
        open_.erase(repeated.begin(), repeated.end());
    }

    // Those of `batch` are left out.
    Result<void> look(storage::Catalog& catalog, const std::string& batch) {
        std::vector<storage::JobId> still;
        while (!open_.empty() && still.size() < kAtOnce) {
            const storage::JobId id = open_.back();
            open_.pop_back();
            const auto job = catalog.find_job(id);
            if (!job) return std::unexpected(job.error());
            if (!*job || (*job)->batch == batch) continue;
            if (is_stuck(**job)) {
                ++ended_[State::failed];
                if (shown_++ < kMostShown) print_failure(**job);
                continue;
            }
            if (is_open((*job)->state)) {
                still.push_back(id);
                continue;
            }
            ++ended_[(*job)->state];
            if ((*job)->state == State::failed && shown_++ < kMostShown) print_failure(**job);
        }
        open_.insert(open_.end(), still.rbegin(), still.rend());
        return {};
    }

    const Counts& ended() const { return ended_; }
    std::uint64_t open() const { return open_.size(); }

  private:
    static constexpr std::size_t kAtOnce = 1000;

    std::vector<storage::JobId> open_;  // the oldest last
    Counts ended_;
    std::size_t shown_ = 0;
};

// Of the batch and the others that have ended; an entry of `queued` stands for all that are open.
Result<Counts> count(Workspace& workspace, const std::string& batch, Others& others) {
    const auto counts = workspace.catalog().count_jobs(batch);
    if (!counts) return std::unexpected(counts.error());
    if (auto looked = others.look(workspace.catalog(), batch); !looked)
        return std::unexpected(std::move(looked.error()));
    Counts by_state = others.ended();
    by_state[State::queued] += others.open();
    for (const storage::JobCount& each : *counts)
        by_state[each.state] += each.count;
    return by_state;
}

}  // namespace

Result<BatchEnd> await_batch(Workspace& workspace, const std::string& batch, const char* what,
                             std::vector<storage::JobId> more) {
    const auto shelf = open_shelf(workspace);
    serve::JobWork work(working_settings(workspace), workspace.catalog(), workspace.drivers(),
                        shelf.get(), {});
    work.start();
    Others others(std::move(more));
    Counts counts;
    {
        Progress progress(what);
        while (true) {
            const auto begun = Clock::now();
            auto counted = count(workspace, batch, others);
            if (!counted) return std::unexpected(std::move(counted.error()));
            counts = std::move(*counted);
            std::uint64_t all = 0;
            std::uint64_t open = 0;
            for (const auto& [state, number] : counts) {
                all += number;
                if (is_open(state)) open += number;
            }
            progress.update(all - open, all, " jobs");
            if (open == 0) break;
            if (counts[State::running] + others.open() == 0) {
                const auto is_over = is_all_stuck(workspace, batch);
                if (!is_over) return std::unexpected(is_over.error());
                if (*is_over) break;
            }
            // Counting many takes its time, of which the jobs are to have most.
            const auto pause = std::clamp<std::chrono::nanoseconds>(50 * (Clock::now() - begun),
                                                                    kLook, kMostPause);
            // tidy: allow sleep, other processes do some of them and tell nobody
            std::this_thread::sleep_for(pause);
        }
    }
    work.stop();
    print_failures(workspace, batch);
    return BatchEnd{.done = counts[State::done],
                    .failed = counts[State::failed] + counts[State::queued],
                    .cancelled = counts[State::cancelled],
                    .paused = counts[State::paused]};
}

int wait_for_batch(Workspace& workspace, const std::string& batch, const char* what, bool json,
                   std::vector<storage::JobId> more) {
    const auto end = await_batch(workspace, batch, what, std::move(more));
    if (!end) return failed(end.error(), json);
    if (json) {
        print_json({{"batch", batch},
                    {"done", end->done},
                    {"failed", end->failed},
                    {"cancelled", end->cancelled},
                    {"paused", end->paused}});
    } else {
        fmt::print("{} done, {} failed, {} cancelled, {} paused\n", end->done, end->failed,
                   end->cancelled, end->paused);
    }
    return end->failed + end->cancelled + end->paused > 0 ? 1 : 0;
}

int run_due_jobs(Workspace& workspace, bool json) {
    const auto shelf = open_shelf(workspace);
    serve::JobWork work(working_settings(workspace), workspace.catalog(), workspace.drivers(),
                        shelf.get(), {});
    work.start();
    {
        Progress progress("jobs");
        while (true) {
            const auto is_busy = work.has_work();
            if (!is_busy) return failed(is_busy.error(), json);
            if (!*is_busy) break;
            progress.update(work.counters().done, std::nullopt, " jobs");
            // tidy: allow sleep, other processes do some of them and tell nobody
            std::this_thread::sleep_for(kLook);
        }
    }
    work.stop();
    const auto counters = work.counters();
    if (json) {
        print_json({{"done", counters.done}, {"failed", counters.failed}});
    } else {
        fmt::print("{} done, {} attempts failed\n", counters.done, counters.failed);
    }
    return 0;
}

}  // namespace tidepool::cli
