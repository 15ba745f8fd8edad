// The worker processes that make variants and look at originals, in two lanes, and who waits for
// them.
//
// Each lane has a number of slots, each a coroutine that has a process once a job needs it, takes
// the next job of the lane's queue, sends it over and waits for the answer. A process that crashed,
// was killed, has grown or has done its number of jobs is replaced by its slot, which costs no
// other job anything.
//
// An upload waits for the look at its structure, which takes milliseconds. So these go before all
// that waits, and where those at work are long about it the cheap lane has one more process, for
// nothing else, as long as it is needed: no picture holds up the uploads of others.
#pragma once

#include "conf/descriptor.h"
#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/http/counters.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/worker_pool.h"
#include "transform/format.h"
#include "transform/inspection.h"
#include "transform/recipe.h"
#include "transform/worker_channel.h"
#include "transform/worker_process.h"

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// What takes long has workers of its own, so that it holds up only its like; see
// transform/dear.h.
enum class VariantLane : std::uint8_t { cheap, dear };
inline constexpr std::size_t kVariantLanes = 2;
inline constexpr std::size_t kVariantFormats = 6;  // of transform::Format
std::string_view name_of(VariantLane lane);

// A variant as it came from its worker: a sealed memory file.
struct MadeVariant {
    conf::Descriptor file;
    std::uint64_t bytes = 0;
    int width = 0;
    int height = 0;
    int frames = 1;
    // How often the source was decoded for this one and those of its job before it.
    unsigned decodes = 0;
    std::uint64_t time_us = 0;  // that its worker took
};

// What one lane counts. Written on the home loop, read by any thread.
struct VariantCounters {
    struct OfFormat {
        http::Counter made;
        http::Counter time_us;  // from the queue's end, or the answer before, to the answer
        http::Counter source_bytes;
        http::Counter result_bytes;
        http::Counter larger;  // variants of more bytes than their source
    };
    std::array<OfFormat, kVariantFormats> formats;
    // Of inspections; those below are of variants, but for what says otherwise.
    struct OfInspections {
        http::Counter done;
        http::Counter unfit;   // sources that are no images, broken, or beyond a limit
        http::Counter failed;  // for a reason of ours
        http::Counter time_us;
    };
    OfInspections inspections;
    http::Counter refused;      // the queue was full
    http::Counter undecodable;  // sources that are no images, or broken ones
    http::Counter too_large;    // beyond a limit: of pixels, frames, bytes, memory or time
    http::Counter failed;       // for a reason of ours
    http::Counter crashed;      // workers that ended with a job
    http::Counter killed;       // workers that took too long
    http::Counter recycled;     // workers replaced because of their age or size
    http::Counter started;
    http::Counter start_failures;
    // Jobs of both kinds.
    std::atomic<std::size_t> waiting = 0;
    std::atomic<std::size_t> running = 0;
};

// Everything not marked otherwise belongs to the home loop's thread.
class VariantWorkers {
  public:
    struct LaneLimits {
        unsigned workers = 1;
        unsigned queue = 1;  // variants that wait; inspections are not counted
    };
    struct Options {
        std::array<LaneLimits, kVariantLanes> lanes;
        conf::Milliseconds job_timeout{60'000};
        conf::Milliseconds cheap_job_timeout{30'000};  // in the cheap lane, where it is shorter
        std::uint64_t memory_bytes = 0;
        std::uint64_t file_bytes = 0;
        std::uint64_t growth_bytes = 0;
        unsigned jobs = 1;
        int nice = 0;
        // How long the one more process is kept for the next look that has to wait.
        conf::Milliseconds spare_kept{60'000};
    };
    static Options options_of(const conf::VariantSettings& settings);

    // Nothing runs before start(). Any thread.
    VariantWorkers(loop::Loop& home, const Options& options);
    // The home loop must have ended.
    ~VariantWorkers();
    VariantWorkers(const VariantWorkers&) = delete;
    VariantWorkers& operator=(const VariantWorkers&) = delete;

    // Starts a process of the cheap lane, for which jobs that come earlier wait; all others start
    // once a job finds none without work, and stay.
    void start();
    // Takes no more jobs and ends those that wait with `closed`; what runs is finished. With
    // `at_once` that is ended, too.
    void stop(bool at_once);

    // Most variants that make_all takes at a time.
    static constexpr std::size_t kMostAtOnce = transform::Job::kMostRecipes;

    // Makes one variant of the first `source_bytes` of this descriptor, which must stay open, as
    // must the recipe stay, until then. Not cancelled: who need not wait has this awaited by
    // another task. Errors are those of transform::make (a crash is `corrupt`, a job that takes too
    // long is `too_large`), and
    //   busy        its worker was killed from outside, and a second one as well
    //   overloaded  the lane's queue is full
    //   closed      stop() was called
    //   and others  no worker can be started, or it or the disk failed
    loop::Task<Result<MadeVariant>> make(VariantLane name, int source_fd,
                                         std::uint64_t source_bytes,
                                         const transform::Recipe& recipe);

    // Several variants of one source from as few decodes as possible, in one place of the queue;
    // each is, byte for byte, what make() would give. `done` is called on the home loop for each
    // recipe, in their order, as soon as it is known, also from within stop(); it must not call
    // that itself. Descriptor and recipes must stay as for make(). Each variant has the whole of
    // the job's time. Errors are those of make() and concern one variant alone, but for the end of
    // the worker: the variant that it was at fails as ever (`corrupt`, `too_large`), and those
    // after it, which say nothing of the source, with `busy`. More than kMostAtOnce recipes are all
    // `invalid`.
    loop::Task<> make_all(VariantLane name, int source_fd, std::uint64_t source_bytes,
                          std::span<const transform::Recipe> recipes,
                          std::function<void(std::size_t index, Result<MadeVariant>)> done);

    // What the first `source_bytes` of this descriptor are, which must stay open. In the same queue
    // (a look at the structure before all others, and that in the cheap lane) but never refused for
    // its length, so the caller sees to it that there are not too many; and as make() is not
    // cancelled. Errors are those of transform::inspect, with a crash as `corrupt` and what takes
    // too long as `too_large`; `busy` where the source is shorter; and the others of make().
    loop::Task<Result<transform::Inspection>> inspect(VariantLane name, int source_fd,
                                                      std::uint64_t source_bytes,
                                                      transform::Limits limits,
                                                      transform::InspectDepth depth);

    // Any thread.
    const VariantCounters& counters(VariantLane lane) const;
    // For tests: of the lane's processes, those that run.
    std::vector<int> process_ids(VariantLane lane) const;

  private:
    struct Given;
    struct Look;
    struct Job;
    struct Worker;
    struct Slot;
    struct Lane;
    class NextJob;
    class FirstNeed;
    class JobDone;

    loop::Task<> have_done(VariantLane name, Job& job);
    static loop::Task<> run_slot(VariantWorkers& self, Lane& lane, Slot& slot);
    static loop::Task<> run_spare(VariantWorkers& self, Lane& lane);
    void call_spare(Lane& lane);
    loop::Task<> pause(Slot& slot, std::uint64_t wait_ms);
    loop::Task<> end_idle_worker(Lane& lane, Slot& slot);
    loop::Task<> give_job(Lane& lane, Slot& slot, Job& job);
    loop::Task<Result<void>> start_worker(Lane& lane, Slot& slot);
    loop::Task<Result<void>> wait_until_ready(Worker& worker);
    conf::Milliseconds timeout_of(const Lane& lane) const;
    Result<void> send_job(const Lane& lane, Worker& worker, Job& job);
    void give_back(Lane& lane, Job& job, const Error& error);
    loop::Task<> do_job(Lane& lane, Slot& slot, Job& job);
    loop::Task<Result<Given>> await_answer(Lane& lane, Slot& slot, const Job& job);
    loop::Task<> replace_when_due(Lane& lane, Slot& slot);
    loop::Task<Error> why_ended(Lane& lane, Slot& slot, std::optional<Error> received);
    loop::Task<transform::WorkerEnd> end_worker(Slot& slot, conf::Milliseconds patience = {});
    void wait_in_line(Lane& lane, Job& job);
    static Job& next_of(Lane& lane);
    static std::size_t waiting_variants(const Lane& lane);
    void take_job(Lane& lane);
    void answer(Job& job, Result<Given> result);
    void fail_rest(Job& job, const Error& error);
    void fail_waiting(Lane& lane, const Error& error);
    static std::optional<Given> believe(const Job& job, const transform::Answer& answer,
                                        conf::Descriptor file);
    static void count(Lane& lane, const Job& job, const Result<Given>& result);
    static void count_variant(VariantCounters& counters, const Job& job,
                              const Result<Given>& result);
    static void count_inspection(VariantCounters& counters, const Result<Given>& result);

    loop::Loop& home_;
    Options options_;
    loop::WorkerPool starters_;  // fork and wait, which block
    std::array<std::unique_ptr<Lane>, kVariantLanes> lanes_;
    bool stopping_ = false;
    bool aborting_ = false;
};

}  // namespace tidepool::serve
