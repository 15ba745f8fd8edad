#include "proxy/serve/variant_workers.h"

#include "conf/bytes.h"
#include "conf/log.h"
#include "proxy/loop/socket.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// What a worker may keep of a job's memory.
constexpr std::uint64_t kMostKeptBytes = 32ULL * 1024 * 1024;
// Longest start: a worker loads libvips and makes one of everything. Sanitizers take a while.
constexpr std::uint64_t kStartTimeMs = 60'000;
// How long a process that has closed its socket is given to end, which it does at once.
constexpr conf::Milliseconds kEndTime{2'000};
// Between tries where workers cannot be started.
constexpr std::uint64_t kFirstPauseMs = 200;
constexpr std::uint64_t kLongestPauseMs = 30'000;
// How long a look at a structure waits for one of the lane's workers, most of whose jobs take less.
constexpr std::uint64_t kLookPatienceMs = 250;

Error error_of(const transform::Answer& answer) {
    // A worker that was taken over can put any number there.
    constexpr ErrorKind kKnown[] = {ErrorKind::corrupt,   ErrorKind::too_large,
                                    ErrorKind::not_found, ErrorKind::busy,
                                    ErrorKind::io,        ErrorKind::misconfigured};
    const bool known = std::ranges::find(kKnown, answer.kind) != std::end(kKnown);
    return {known ? answer.kind : ErrorKind::corrupt, answer.printable_text()};
}

}  // namespace

std::string_view name_of(VariantLane lane) {
    return lane == VariantLane::cheap ? "cheap" : "dear";
}

// An answer of a worker: a variant, or what it saw.
struct VariantWorkers::Given {
    MadeVariant variant{};
    transform::Inspection inspection{};
    std::uint64_t time_us = 0;
};

// How a source is to be looked at.
struct VariantWorkers::Look {
    transform::Limits limits;
    transform::InspectDepth depth;
};

// What somebody waits for; lives in the frame of make_all() or inspect().
struct VariantWorkers::Job {
    int source_fd;
    std::uint64_t source_bytes;
    std::span<const transform::Recipe> recipes{};  // of the variants to be made,
    const Look* look = nullptr;                    // or for an inspection
    const std::function<void(std::size_t, Result<Given>)>& done;
    std::size_t answered = 0;   // answers that have come
    std::size_t begun_at = 0;   // of them before it was sent to the worker that has it
    bool was_returned = false;  // its worker was ended by others, or before it could take it
    std::coroutine_handle<> waiter = nullptr;

    std::size_t answers() const { return look != nullptr ? 1 : recipes.size(); }
    bool goes_first() const {
        return look != nullptr && look->depth == transform::InspectDepth::structure;
    }
    bool is_done() const { return answered == answers(); }
};

// A process, as its slot sees it.
struct VariantWorkers::Worker {
    Worker(loop::Loop& loop, pid_t process, int fd) : pid(process), socket(loop, fd) {}

    pid_t pid;
    loop::Socket socket;
    bool is_ready = false;
    std::uint64_t first_resident_bytes = 0;
    std::uint64_t resident_bytes = 0;
    std::uint64_t jobs = 0;
};

struct VariantWorkers::Slot {
    std::unique_ptr<Worker> worker;
    loop::Loop::Delay* pause = nullptr;  // while it waits to try again
};

struct VariantWorkers::Lane {
    VariantLane name;
    std::size_t queue_limit;
    std::vector<std::unique_ptr<Slot>> slots;
    std::deque<Job*> first;                    // that wait: the looks at structures,
    std::deque<Job*> waiting;                  // and all else
    std::deque<std::coroutine_handle<>> idle;  // slots that wait for a job
    // Those that no job has needed so far, and that have no process.
    std::deque<std::coroutine_handle<>> resting;
    std::size_t starting = 0;  // slots whose process is not ready yet
    Slot spare;                // for looks at structures alone
    bool has_spare = false;    // run_spare() runs
    VariantCounters counters;

    std::size_t waiting_jobs() const { return first.size() + waiting.size(); }
    bool has_waiting() const { return waiting_jobs() > 0; }
    void count_waiting() { counters.waiting = waiting_jobs(); }
    // A job waits for which no slot will soon be there.
    bool needs_another() const { return idle.empty() && waiting_jobs() > starting; }
    bool has_worker() const {
        return std::ranges::any_of(
            slots, [](const auto& slot) { return slot->worker && slot->worker->is_ready; });
    }
    // Variants that may wait: those for whose slot a process is only starting do not count.
    std::size_t most_waiting() const {
        return queue_limit + slots.size() - std::min(counters.running.load(), slots.size());
    }
    // Who has just ended a worker of his gets the next one, and takes what waits then.
    bool all_are_busy() const {
        return counters.running >= slots.size() &&
               std::ranges::all_of(slots, [](const auto& slot) { return slot->worker != nullptr; });
    }
};

// Gives a slot the next job, or null where it must look again.
class VariantWorkers::NextJob {
  public:
    NextJob(VariantWorkers& workers, Lane& lane) : workers_(workers), lane_(lane) {}
    bool await_ready() const noexcept { return lane_.has_waiting() || workers_.stopping_; }
    void await_suspend(std::coroutine_handle<> slot) { lane_.idle.push_back(slot); }
    Job* await_resume() {
        return lane_.has_waiting() && !workers_.stopping_ ? &next_of(lane_) : nullptr;
    }

  private:
    VariantWorkers& workers_;
    Lane& lane_;
};

// Waits until a job needs one more process.
class VariantWorkers::FirstNeed {
  public:
    FirstNeed(VariantWorkers& workers, Lane& lane) : workers_(workers), lane_(lane) {}
    bool await_ready() const noexcept { return lane_.needs_another() || workers_.stopping_; }
    void await_suspend(std::coroutine_handle<> slot) { lane_.resting.push_back(slot); }
    void await_resume() const noexcept {}

  private:
    VariantWorkers& workers_;
    Lane& lane_;
};

// Waits until a job has all its results.
class VariantWorkers::JobDone {
  public:
    explicit JobDone(Job& job) : job_(job) {}
    bool await_ready() const noexcept { return job_.is_done(); }
    void await_suspend(std::coroutine_handle<> waiter) { job_.waiter = waiter; }
    void await_resume() const noexcept {}

  private:
    Job& job_;
};

VariantWorkers::Options VariantWorkers::options_of(const conf::VariantSettings& settings) {
    Options options;
    options.lanes = {LaneLimits{settings.cheap_workers, settings.cheap_queue},
                     LaneLimits{settings.dear_workers, settings.dear_queue}};
    options.job_timeout = settings.job_timeout;
    options.cheap_job_timeout = settings.cheap_job_timeout;
    options.memory_bytes = settings.worker_memory_bytes;
    options.file_bytes = settings.result_bytes;
    options.growth_bytes = settings.worker_growth_bytes;
    options.jobs = settings.worker_jobs;
    options.nice = static_cast<int>(settings.worker_nice);
    return options;
}

VariantWorkers::VariantWorkers(loop::Loop& home, const Options& options)
    : home_(home),
      options_(options),
      starters_("w:variants", 2, options.lanes[0].workers + options.lanes[1].workers + 2) {
    for (const VariantLane name : {VariantLane::cheap, VariantLane::dear}) {
        const LaneLimits& limits = options_.lanes[static_cast<std::size_t>(name)];
        auto lane = std::make_unique<Lane>(name, limits.queue);
        for (unsigned i = 0; i < limits.workers; ++i)
            lane->slots.push_back(std::make_unique<Slot>());
        lanes_[static_cast<std::size_t>(name)] = std::move(lane);
    }
}

VariantWorkers::~VariantWorkers() = default;

void VariantWorkers::start() {
    for (const auto& lane : lanes_) {
        for (const auto& slot : lane->slots)
            home_.tasks().spawn(run_slot(*this, *lane, *slot));
    }
}

void VariantWorkers::stop(bool at_once) {
    stopping_ = true;
    aborting_ = aborting_ || at_once;
    for (const auto& lane : lanes_) {
        fail_waiting(*lane, {ErrorKind::closed, "the server is stopping"});
        for (auto* const waiting : {&lane->idle, &lane->resting}) {
            for (const auto slot : std::exchange(*waiting, {}))
                home_.post(slot);
        }
        const auto stop_slot = [this](Slot& slot) {
            if (slot.pause != nullptr)
                home_.post([&slot] {
                    if (slot.pause != nullptr) slot.pause->cut();
                });
            if (aborting_ && slot.worker) slot.worker->socket.close_waits();
        };
        for (const auto& slot : lane->slots)
            stop_slot(*slot);
        stop_slot(lane->spare);
    }
}

loop::Task<Result<MadeVariant>> VariantWorkers::make(VariantLane name, int source_fd,
                                                     std::uint64_t source_bytes,
                                                     const transform::Recipe& recipe) {
    Result<MadeVariant> made = fail(ErrorKind::closed, "not made");
    const auto keep = [&made](std::size_t, Result<MadeVariant> result) {
        made = std::move(result);
    };
    co_await make_all(name, source_fd, source_bytes, {&recipe, 1}, keep);
    co_return made;
}

loop::Task<> VariantWorkers::make_all(
    VariantLane name, int source_fd, std::uint64_t source_bytes,
    std::span<const transform::Recipe> recipes,
    std::function<void(std::size_t index, Result<MadeVariant>)> done) {
    const std::function<void(std::size_t, Result<Given>)> give = [&done](std::size_t index,
                                                                         Result<Given> given) {
        if (!given) return done(index, std::unexpected(std::move(given.error())));
        given->variant.time_us = given->time_us;
        done(index, std::move(given->variant));
    };
    Job job{.source_fd = source_fd, .source_bytes = source_bytes, .recipes = recipes, .done = give};
    if (recipes.size() > kMostAtOnce) {
        fail_rest(job, {ErrorKind::invalid,
                        fmt::format("{} variants of one image, and at most {} are made at once",
                                    recipes.size(), kMostAtOnce)});
    }
    co_await have_done(name, job);
}

loop::Task<Result<transform::Inspection>> VariantWorkers::inspect(VariantLane name, int source_fd,
                                                                  std::uint64_t source_bytes,
                                                                  transform::Limits limits,
                                                                  transform::InspectDepth depth) {
    Result<transform::Inspection> seen = fail(ErrorKind::closed, "not looked at");
    const std::function<void(std::size_t, Result<Given>)> keep = [&seen](std::size_t,
                                                                         Result<Given> given) {
        if (given) {
            seen = given->inspection;
        } else {
            seen = std::unexpected(std::move(given.error()));
        }
    };
    const Look look{limits, depth};
    Job job{.source_fd = source_fd, .source_bytes = source_bytes, .look = &look, .done = keep};
    co_await have_done(name, job);
    co_return seen;
}

// Waits until the job has its answers, for which it stands in the lane's queue. Only variants are
// counted there: who has something looked at is limited elsewhere, and has come too far to be sent
// away.
loop::Task<> VariantWorkers::have_done(VariantLane name, Job& job) {
    Lane& lane = *lanes_[static_cast<std::size_t>(name)];
    if (job.is_done()) co_return;
    if (stopping_) {
        fail_rest(job, {ErrorKind::closed, "the server is stopping"});
    } else if (job.look == nullptr && waiting_variants(lane) >= lane.most_waiting()) {
        lane.counters.refused.add();
        fail_rest(job, {ErrorKind::overloaded, fmt::format("{} variants wait in the {} lane",
                                                           lane.queue_limit, name_of(name))});
    }
    if (job.is_done()) co_return;
    wait_in_line(lane, job);
    co_await JobDone(job);
}

void VariantWorkers::wait_in_line(Lane& lane, Job& job) {
    (job.goes_first() ? lane.first : lane.waiting).push_back(&job);
    lane.count_waiting();
    if (job.goes_first() && lane.idle.empty()) call_spare(lane);
    take_job(lane);
}

// Takes the job whose turn it is out of those that wait, of which there must be one.
VariantWorkers::Job& VariantWorkers::next_of(Lane& lane) {
    auto& line = lane.first.empty() ? lane.waiting : lane.first;
    Job& job = *line.front();
    line.pop_front();
    lane.count_waiting();
    return job;
}

std::size_t VariantWorkers::waiting_variants(const Lane& lane) {
    return static_cast<std::size_t>(
        std::ranges::count_if(lane.waiting, [](const Job* job) { return job->look == nullptr; }));
}

// Wakes a slot that has nothing to do, for a job that has just come.
void VariantWorkers::take_job(Lane& lane) {
    auto& slots = lane.needs_another() ? lane.resting : lane.idle;
    if (slots.empty()) return;
    home_.post(slots.front());
    slots.pop_front();
}

// With what comes next.
void VariantWorkers::answer(Job& job, Result<Given> result) {
    job.done(job.answered, std::move(result));
    ++job.answered;
    // Its waiter goes on later; so it is still there for this call's caller.
    if (job.is_done() && job.waiter) home_.post(std::exchange(job.waiter, nullptr));
}

void VariantWorkers::fail_rest(Job& job, const Error& error) {
    while (!job.is_done())
        answer(job, std::unexpected(error));
}

void VariantWorkers::fail_waiting(Lane& lane, const Error& error) {
    while (lane.has_waiting())
        fail_rest(next_of(lane), error);
}

const VariantCounters& VariantWorkers::counters(VariantLane lane) const {
    return lanes_[static_cast<std::size_t>(lane)]->counters;
}

std::vector<int> VariantWorkers::process_ids(VariantLane lane) const {
    std::vector<int> ids;
    const Lane& of = *lanes_[static_cast<std::size_t>(lane)];
    for (const auto& slot : of.slots) {
        if (slot->worker) ids.push_back(slot->worker->pid);
    }
    if (of.spare.worker) ids.push_back(of.spare.worker->pid);
    return ids;
}

loop::Task<> VariantWorkers::run_slot(VariantWorkers& self, Lane& lane, Slot& slot) {
    std::uint64_t pause_ms = kFirstPauseMs;
    // One is there before the first job, and tells the operator if none can be.
    const bool is_ready_for_first =
        lane.name == VariantLane::cheap && &slot == lane.slots.front().get();
    if (!is_ready_for_first) co_await FirstNeed(self, lane);
    while (!self.stopping_) {
        if (!slot.worker) {
            ++lane.starting;
            const auto started = co_await self.start_worker(lane, slot);
            --lane.starting;
            if (!started && !self.stopping_) {
                // They would wait for nothing.
                if (!lane.has_worker()) self.fail_waiting(lane, started.error());
                co_await self.pause(slot, pause_ms);
                pause_ms = std::min(2 * pause_ms, kLongestPauseMs);
            }
            if (!started) continue;
            pause_ms = kFirstPauseMs;
        }
        Job* const job = co_await NextJob(self, lane);
        if (job != nullptr) co_await self.give_job(lane, slot, *job);
    }
    co_await self.end_idle_worker(lane, slot);
}

// Where a look has to wait.
void VariantWorkers::call_spare(Lane& lane) {
    if (!lane.has_spare) {
        lane.has_spare = true;
        home_.tasks().spawn(run_spare(*this, lane));
    } else if (lane.spare.worker && lane.spare.pause != nullptr) {
        home_.post([&slot = lane.spare] {
            if (slot.worker && slot.pause != nullptr) slot.pause->cut();
        });
    }
}

// Ends where no look has waited for a while; the next one that has to wait calls it again.
loop::Task<> VariantWorkers::run_spare(VariantWorkers& self, Lane& lane) {
    Slot& slot = lane.spare;
    std::uint64_t patience_ms = kLookPatienceMs;
    co_await self.pause(slot, patience_ms);
    while (!self.stopping_) {
        if (lane.first.empty() && slot.worker) {
            co_await self.pause(slot, static_cast<std::uint64_t>(self.options_.spare_kept.count()));
        }
        if (lane.first.empty()) {
            co_await self.end_idle_worker(lane, slot);
            if (lane.first.empty()) break;
        }
        if (!slot.worker) {
            const bool all_are_busy = lane.all_are_busy();
            if (all_are_busy && co_await self.start_worker(lane, slot)) {
                patience_ms = kLookPatienceMs;
            } else if (!self.stopping_) {
                co_await self.pause(slot, patience_ms);
                if (all_are_busy) patience_ms = std::min(2 * patience_ms, kLongestPauseMs);
                continue;
            }
        }
        if (!lane.first.empty() && !self.stopping_)
            co_await self.give_job(lane, slot, next_of(lane));
    }
    co_await self.end_idle_worker(lane, slot);
    lane.has_spare = false;
}

loop::Task<> VariantWorkers::pause(Slot& slot, std::uint64_t wait_ms) {
    loop::Loop::Delay delay(home_, wait_ms);
    slot.pause = &delay;
    co_await delay;
    slot.pause = nullptr;
}

// Has the slot's worker do it, and replaces that where it is time.
loop::Task<> VariantWorkers::give_job(Lane& lane, Slot& slot, Job& job) {
    const auto sent = send_job(lane, *slot.worker, job);
    if (!sent) {
        const auto end = co_await end_worker(slot, kEndTime);
        conf::log_warn("variant worker ended without a job lane={} end=\"{}\"", name_of(lane.name),
                       end.text);
        lane.counters.crashed.add();
        give_back(lane, job, sent.error());
        co_return;
    }
    ++lane.counters.running;
    co_await do_job(lane, slot, job);
    --lane.counters.running;
    co_await replace_when_due(lane, slot);
}

loop::Task<> VariantWorkers::end_idle_worker(Lane& lane, Slot& slot) {
    if (!slot.worker) co_return;
    const auto end = co_await end_worker(slot);
    conf::log_debug("variant worker ended lane={} end=\"{}\"", name_of(lane.name), end.text);
}

loop::Task<Result<void>> VariantWorkers::start_worker(Lane& lane, Slot& slot) {
    const transform::WorkerLimits limits{options_.memory_bytes, options_.file_bytes, options_.nice};
    auto started = co_await loop::offload(home_, starters_, loop::Lane::quick,
                                          [&limits] { return transform::start_worker(limits); });
    Result<void> ready;
    if (started) {
        slot.worker = std::make_unique<Worker>(home_, started->pid, started->socket.release());
        ready = co_await wait_until_ready(*slot.worker);
        if (!ready) {
            ready.error().text += ", " + (co_await end_worker(slot)).text;
        }
    } else {
        ready = std::unexpected(std::move(started.error()));
    }
    if (ready) {
        lane.counters.started.add();
        conf::log_debug("variant worker started lane={} pid={}", name_of(lane.name),
                        slot.worker->pid);
    } else if (!stopping_) {
        lane.counters.start_failures.add();
        conf::log_error("variant worker not started lane={} reason=\"{}\"", name_of(lane.name),
                        ready.error().text);
    }
    co_return ready;
}

// For its first answer.
loop::Task<Result<void>> VariantWorkers::wait_until_ready(Worker& worker) {
    worker.socket.set_deadline(home_.now_ms() + kStartTimeMs);
    while (true) {
        const loop::Wake wake = co_await worker.socket.readable();
        if (wake == loop::Wake::timed_out)
            co_return fail(ErrorKind::timed_out, "a worker did not get ready");
        if (wake == loop::Wake::closed) co_return fail(ErrorKind::closed, "stopped");
        transform::Answer answer;
        const auto received = transform::receive_message(worker.socket.fd(), answer);
        if (!received && received.error().kind == ErrorKind::busy) {
            worker.socket.not_readable();
            continue;
        }
        if (!received) co_return std::unexpected(received.error());
        if (answer.made == 0) co_return std::unexpected(error_of(answer));
        worker.is_ready = true;
        worker.first_resident_bytes = answer.resident_bytes;
        co_return Result<void>();
    }
}

// Its answers, each given on as it comes. The job is gone afterwards, or is in the queue again.
loop::Task<> VariantWorkers::do_job(Lane& lane, Slot& slot, Job& job) {
    // Known before the last answer ends the job.
    const std::size_t count_of_answers = job.answers() - job.answered;
    for (std::size_t i = 0; i < count_of_answers; ++i) {
        const std::uint64_t began_ns = home_.now_ns();
        auto result = co_await await_answer(lane, slot, job);
        if (result) result->time_us = (home_.now_ns() - began_ns) / 1000;
        const bool ended_by_others =
            !result && !slot.worker && result.error().kind == ErrorKind::busy;
        if (ended_by_others && !job.was_returned) co_return give_back(lane, job, result.error());
        count(lane, job, result);
        std::optional<Error> end;
        if (!slot.worker) end = result.error();
        const bool is_last = i + 1 == count_of_answers;
        if (is_last && slot.worker) ++slot.worker->jobs;
        answer(job, std::move(result));
        if (is_last || !end) continue;
        // What its end says of the source concerns the variant that it was at.
        if (end->kind != ErrorKind::closed) {
            end->kind = ErrorKind::busy;
            end->text = "not begun: of the variant before, " + end->text;
        }
        lane.counters.failed.add(count_of_answers - i - 1);
        fail_rest(job, *end);
        co_return;
    }
}

loop::Task<> VariantWorkers::replace_when_due(Lane& lane, Slot& slot) {
    if (!slot.worker) co_return;
    const Worker& worker = *slot.worker;
    const bool grown = worker.resident_bytes > worker.first_resident_bytes + options_.growth_bytes;
    if (worker.jobs < options_.jobs && !grown) co_return;
    lane.counters.recycled.add();
    conf::log_debug("variant worker replaced lane={} pid={} jobs={} resident={}",
                    name_of(lane.name), worker.pid, worker.jobs,
                    conf::format_size(worker.resident_bytes));
    co_await end_worker(slot);
}

// Of what is quick a deadline can be near: what hangs a decoder then holds up its lane for less.
conf::Milliseconds VariantWorkers::timeout_of(const Lane& lane) const {
    if (lane.name == VariantLane::dear) return options_.job_timeout;
    return std::min(options_.job_timeout, options_.cheap_job_timeout);
}

Result<void> VariantWorkers::send_job(const Lane& lane, Worker& worker, Job& job) {
    job.begun_at = job.answered;
    transform::Job message;
    message.number = worker.jobs + 1;
    message.source_bytes = job.source_bytes;
    // What its deadline allows where libraries take all processors (decoders of AVIF and HEIC take
    // several): it is for one that nobody ends at its deadline.
    message.cpu_seconds = static_cast<std::uint32_t>(
        std::chrono::ceil<std::chrono::seconds>(timeout_of(lane)).count() *
        std::max(1U, std::thread::hardware_concurrency()));
    // Far from what would end it; to take memory anew for each job costs a good part of a small
    // one.
    message.kept_bytes = std::min<std::uint64_t>(options_.growth_bytes / 8, kMostKeptBytes);
    if (job.look != nullptr) {
        message.kind = transform::Job::Kind::inspect;
        message.limits = job.look->limits;
        message.depth = job.look->depth;
    }
    const auto recipes = job.recipes.subspan(std::min(job.answered, job.recipes.size()));
    message.recipe_count = static_cast<std::uint32_t>(recipes.size());
    std::ranges::copy(recipes, message.recipes.begin());
    return transform::send_message(worker.socket.fd(), message, job.source_fd);
}

// To the front of the queue, once: no job can bring down a worker that it was not sent to, and what
// others end says nothing of the job.
void VariantWorkers::give_back(Lane& lane, Job& job, const Error& error) {
    if (std::exchange(job.was_returned, true)) return fail_rest(job, {ErrorKind::io, error.text});
    if (stopping_) return fail_rest(job, {ErrorKind::closed, "the server is stopping"});
    (job.goes_first() ? lane.first : lane.waiting).push_front(&job);
    lane.count_waiting();
    take_job(lane);  // the spare may have had it, while others have become idle
}

// The next answer to the job that was sent. Whatever is wrong with the worker ends it.
loop::Task<Result<VariantWorkers::Given>> VariantWorkers::await_answer(Lane& lane, Slot& slot,
                                                                       const Job& job) {
    Worker& worker = *slot.worker;
    const std::uint64_t number = worker.jobs + 1;
    worker.socket.set_deadline(home_.now_ms() +
                               static_cast<std::uint64_t>(timeout_of(lane).count()));
    while (true) {
        const loop::Wake wake = co_await worker.socket.readable();
        if (wake == loop::Wake::closed) {
            co_await end_worker(slot);
            co_return fail(ErrorKind::closed, "the server is stopping");
        }
        if (wake == loop::Wake::timed_out) {
            lane.counters.killed.add();
            co_await end_worker(slot);
            co_return fail(
                ErrorKind::too_large,
                fmt::format("more than {} to make it", conf::format_duration(timeout_of(lane))));
        }
        transform::Answer answer;
        auto received = transform::receive_message(worker.socket.fd(), answer);
        if (!received && received.error().kind == ErrorKind::busy) {
            worker.socket.not_readable();
            continue;
        }
        if (!received || answer.number != number || answer.index + job.begun_at != job.answered)
            co_return std::unexpected(co_await why_ended(
                lane, slot, received ? std::nullopt : std::optional(received.error())));
        worker.resident_bytes = answer.resident_bytes;
        if (answer.made == 0) co_return std::unexpected(error_of(answer));
        auto given = believe(job, answer, std::move(*received));
        if (!given) {
            lane.counters.crashed.add();
            co_await end_worker(slot);
            co_return fail(ErrorKind::corrupt, "the worker gave something else than it was asked");
        }
        co_return std::move(*given);
    }
}

// Ends a worker that gave no answer, but `received` or none of ours, and says what that says of the
// job's source: nothing (`busy`, `io`), or that it brought the worker down.
loop::Task<Error> VariantWorkers::why_ended(Lane& lane, Slot& slot, std::optional<Error> received) {
    const bool has_gone = received && received->kind == ErrorKind::closed;
    const pid_t pid = slot.worker->pid;
    const auto end = co_await end_worker(slot, has_gone ? kEndTime : conf::Milliseconds{});
    if (end.cause == transform::WorkerEnd::Cause::limit) {
        lane.counters.killed.add();
        co_return Error{ErrorKind::too_large, "more processor time than one variant may take"};
    }
    lane.counters.crashed.add();
    if (end.cause == transform::WorkerEnd::Cause::others) {
        conf::log_warn(
            "variant worker killed from outside lane={} pid={} hint=\"where the kernel did "
            "it, memory ran out: fewer workers, or less variants.worker_memory\"",
            name_of(lane.name), pid);
        co_return Error{ErrorKind::busy, "its worker was killed from outside"};
    }
    if (received && !has_gone && received->kind != ErrorKind::invalid)
        co_return Error{ErrorKind::io, std::move(received->text)};
    co_return Error{ErrorKind::corrupt, fmt::format("the worker crashed: {}", end.text)};
}

// Nothing where no worker of ours would give such a thing.
std::optional<VariantWorkers::Given> VariantWorkers::believe(const Job& job,
                                                             const transform::Answer& answer,
                                                             conf::Descriptor file) {
    if (job.look != nullptr) {
        auto seen = transform::believed(answer.inspection, job.look->depth, job.look->limits);
        if (!seen) return std::nullopt;
        return Given{.inspection = *seen};
    }
    if (answer.result_bytes > job.recipes[job.answered].limits.result_bytes ||
        !transform::is_sealed_file(file.get(), answer.result_bytes))
        return std::nullopt;
    return Given{.variant = {std::move(file), answer.result_bytes, answer.width, answer.height,
                             answer.frames, answer.decodes}};
}

// Kills the slot's process where it still runs after `patience`, reaps it, and says how it ended.
loop::Task<transform::WorkerEnd> VariantWorkers::end_worker(Slot& slot,
                                                            conf::Milliseconds patience) {
    const pid_t pid = slot.worker->pid;
    slot.worker.reset();
    // One place of the queue is kept for each slot, so it is never full.
    const auto end = co_await loop::offload(home_, starters_, loop::Lane::quick,
                                            [pid, patience]() -> Result<transform::WorkerEnd> {
                                                return transform::end_worker(pid, patience);
                                            });
    if (end) co_return *end;
    co_return transform::WorkerEnd{.text = end.error().text};
}

void VariantWorkers::count(Lane& lane, const Job& job, const Result<Given>& result) {
    if (job.look != nullptr) {
        count_inspection(lane.counters, result);
    } else {
        count_variant(lane.counters, job, result);
    }
}

void VariantWorkers::count_variant(VariantCounters& counters, const Job& job,
                                   const Result<Given>& result) {
    if (result) {
        auto& format = counters.formats[static_cast<std::size_t>(job.recipes[job.answered].format)];
        format.made.add();
        format.time_us.add(result->time_us);
        format.source_bytes.add(job.source_bytes);
        format.result_bytes.add(result->variant.bytes);
        if (result->variant.bytes > job.source_bytes) format.larger.add();
        return;
    }
    switch (result.error().kind) {
        case ErrorKind::corrupt:
            counters.undecodable.add();
            break;
        case ErrorKind::too_large:
            counters.too_large.add();
            break;
        case ErrorKind::not_found:  // too small an image for this variant
            break;
        default:
            counters.failed.add();
    }
}

void VariantWorkers::count_inspection(VariantCounters& counters, const Result<Given>& result) {
    auto& inspections = counters.inspections;
    if (result) {
        inspections.done.add();
        inspections.time_us.add(result->time_us);
        return;
    }
    const bool is_unfit =
        result.error().kind == ErrorKind::corrupt || result.error().kind == ErrorKind::too_large;
    (is_unfit ? inspections.unfit : inspections.failed).add();
}

}  // namespace tidepool::serve
