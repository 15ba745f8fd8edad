#include "storage/job_runner.h"

#include "conf/log.h"
#include "storage/job_lanes.h"
#include "storage/job_owner.h"
#include "storage/job_policy.h"
#include "storage/purge_job.h"
#include "storage/retry.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include <fmt/format.h>
#include <pthread.h>

namespace tidepool::storage {

namespace {

constexpr std::int64_t kTickS = 10;
// Who was cancelled learns it by then.
constexpr std::int64_t kRenewalS = 10;
// Of a lease, what must be left for a step that changes something: more than a driver's call takes
// with all its tries (see DriverSet).
constexpr std::int64_t kMarginS = 120;
// Longest wait of a job that was done until that is written down, and most that wait for it.
constexpr std::chrono::milliseconds kMostSettle{50};
constexpr std::size_t kMostEnded = 64;
// How many jobs are held: those that end within this time, by how many ended before. Few of what
// takes long, which others might do; many of what is quick, as a taking costs the same for one.
constexpr std::chrono::milliseconds kAhead{200};
constexpr std::chrono::milliseconds kAdaptEvery{250};
constexpr std::size_t kMostAhead = 64;

// How a job ended instead that was done but for what the catalog said to it.
std::optional<JobEnd> came_of(const JobEnd& end, const Result<bool>& done) {
    if (end.kind != JobEnd::Kind::relocates) return std::nullopt;
    return end.then(done ? Result<void>() : std::unexpected(done.error()));
}

// Of many lanes of one kind, as there is one for each owner of uploads, some have their turn: all
// together would leave little to the others, as each has its share. `lanes` are in order.
std::vector<std::string> some_of_each_kind(const std::vector<std::string>& lanes,
                                           std::size_t turn) {
    constexpr std::size_t kMost = 8;
    std::vector<std::string> some;
    for (std::size_t begin = 0; begin < lanes.size();) {
        std::size_t end = begin;
        while (end < lanes.size() && type_of_lane(lanes[end]) == type_of_lane(lanes[begin]))
            ++end;
        const std::size_t count = end - begin;
        for (std::size_t i = 0; i < std::min(count, kMost); ++i)
            some.push_back(lanes[begin + (turn + i) % count]);
        begin = end;
    }
    return some;
}

}  // namespace

bool JobRun::goes_on() const {
    return !ended_.load(std::memory_order_relaxed) &&
           std::time(nullptr) + kMarginS < lease_until_s_.load(std::memory_order_relaxed);
}

void JobRun::note(std::string progress) {
    const std::lock_guard lock(mutex_);
    progress_ = std::move(progress);
}

JobRunner::JobRunner(Catalog& catalog, Options options)
    : catalog_(catalog),
      options_(std::move(options)),
      owner_(new_job_owner()),
      ahead_(options_.threads) {}

JobRunner::~JobRunner() {
    stop();
}

void JobRunner::handle(const std::string& type, Handler handler) {
    handlers_.emplace(type, std::move(handler));
}

void JobRunner::start() {
    if (options_.threads == 0) return;
    house_keeping();  // what the dead have left is due by the time that anybody asks
    threads_.emplace_back([this] { dispatch(); });
    pthread_setname_np(threads_.back().native_handle(), "jobs");
    for (unsigned i = 0; i < options_.threads; ++i) {
        threads_.emplace_back([this] { work(); });
        pthread_setname_np(threads_.back().native_handle(), fmt::format("job:{}", i).c_str());
    }
}

void JobRunner::ask_to_stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        for (const Active& active : active_)
            active.run->ended_ = true;
    }
    dispatcher_.notify_all();
    workers_.notify_all();
}

void JobRunner::stop() {
    if (threads_.empty()) return;
    ask_to_stop();
    for (std::thread& thread : threads_)
        thread.join();
    threads_.clear();
    auto ended = take_ended();
    settle(ended);
    // Those that waited for a thread were never begun.
    for (const Active& active : active_) {
        const JobRecord& job = active.run->job();
        const auto given_back =
            catalog_.put_off_job(job.id, job.lease_owner, std::time(nullptr), false);
        if (!given_back)
            conf::log_warn("job not given back id={} reason=\"{}\"", job.id,
                           given_back.error().text);
    }
    active_.clear();
}

void JobRunner::look() {
    {
        const std::lock_guard lock(mutex_);
        look_now_ = true;
    }
    dispatcher_.notify_all();
}

JobRunner::Counters JobRunner::counters() const {
    const std::lock_guard lock(mutex_);
    Counters counters = counters_;
    counters.running = count(Active::State::runs);
    return counters;
}

std::size_t JobRunner::count(Active::State state) const {
    return static_cast<std::size_t>(std::ranges::count(active_, state, &Active::state));
}

// The catalog first: what it has no longer, as it is being taken, is seen by what comes then.
Result<bool> JobRunner::has_work() const {
    const auto lanes = catalog_.open_lanes();
    if (!lanes) return std::unexpected(lanes.error());
    const std::int64_t now_s = std::time(nullptr);
    const bool is_due = std::ranges::any_of(*lanes, [&](const OpenLane& lane) {
        return lane.next_run_s <= now_s && handles(lane.lane);
    });
    const std::lock_guard lock(mutex_);
    return is_due || is_taking_ || !active_.empty();
}

// ---- the thread that takes

void JobRunner::dispatch() {
    const std::chrono::milliseconds look(options_.look_ms);
    const std::chrono::seconds renewal(
        std::clamp<std::int64_t>(options_.lease_s / 4, 1, kRenewalS));
    auto next_look = Clock::now();
    auto next_renewal = Clock::now() + renewal;
    auto next_tick = Clock::now();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const auto now = Clock::now();
        const bool is_due = look_now_ || now >= next_look;
        auto ended = must_settle(now) ? take_ended() : std::list<Active>();
        const bool has_room = held_by_lane().second < options_.threads + ahead_;
        adapt(now);
        look_now_ = false;
        is_taking_ = true;
        lock.unlock();
        settle(ended);
        if (Clock::now() >= next_tick) {
            house_keeping();
            next_tick = Clock::now() + std::chrono::seconds(kTickS);
        }
        if (Clock::now() >= next_renewal) {
            renew_all();
            next_renewal = Clock::now() + renewal;
        }
        if (is_due) {
            if (has_room) take();  // else when a job has ended
            next_look = Clock::now() + look;
        }
        lock.lock();
        is_taking_ = false;
        const auto wakes = [&] { return stopping_ || look_now_ || must_settle(Clock::now()); };
        while (!wakes()) {
            auto next = std::min({next_look, next_renewal, next_tick});
            const bool has_ended = count(Active::State::ended) > 0;
            if (has_ended) next = std::min(next, first_ended_ + kMostSettle);
            if (dispatcher_.wait_until(lock, next) == std::cv_status::timeout) break;
        }
    }
}

// Also before there is nothing to do for the threads, as look_now_ says: what ends may lead to
// what comes next.
bool JobRunner::must_settle(Clock::time_point now) const {
    const std::size_t ended = count(Active::State::ended);
    return ended > 0 && (look_now_ || ended >= kMostEnded || now >= first_ended_ + kMostSettle);
}

std::list<JobRunner::Active> JobRunner::take_ended() {
    std::list<Active> ended;
    for (auto each = active_.begin(); each != active_.end();) {
        const auto next = std::next(each);
        if (each->state == Active::State::ended) ended.splice(ended.end(), active_, each);
        each = next;
    }
    return ended;
}

// Writes down the ends of jobs that were done.
void JobRunner::settle(std::list<Active>& ended) {
    if (ended.empty()) return;
    std::vector<JobEnding> jobs;
    for (const Active& each : ended) {
        jobs.push_back({each.run->lease(), each.end.relocation.get()});
    }
    const auto results = catalog_.end_jobs(jobs, std::time(nullptr));
    auto done = results.begin();
    for (Active& each : ended) {
        const auto instead = came_of(each.end, *done);
        each.end.then = nullptr;  // and what it holds
        if (instead) {
            end(*each.run, *instead);
        } else {
            report(each.run->job(), each.end.kind, *done);
        }
        ++done;
    }
}

void JobRunner::adapt(Clock::time_point now) {
    const auto passed = now - adapted_;
    if (passed < kAdaptEvery) return;
    const auto expected =
        static_cast<double>(ends_) * (std::chrono::duration<double>(kAhead) / passed);
    ahead_ = std::clamp<std::size_t>(static_cast<std::size_t>(expected), options_.threads,
                                     std::max<std::size_t>(kMostAhead, options_.threads));
    ends_ = 0;
    adapted_ = now;
}

bool JobRunner::handles(std::string_view lane) const {
    return handlers_.contains(type_of_lane(lane));
}

std::size_t JobRunner::room_of(const std::string& lane, const Running& held) const {
    const std::size_t all = options_.threads;
    return options_.room ? std::min(all, options_.room(lane, held)) : all;
}

// So many of a lane at most: more than may run, so that who has ended one need not wait for the
// next.
std::size_t JobRunner::most_of(const std::string& lane) const {
    return room_of(lane, {}) * (options_.threads + ahead_) / options_.threads;
}

// How many jobs of each lane are held, and how many in all. What a lane holds beyond its share,
// which was larger while its jobs were quick, keeps no other lane from having its own.
std::pair<std::map<std::string, std::size_t>, std::size_t> JobRunner::held_by_lane() const {
    std::map<std::string, std::size_t> held;
    for (const Active& active : active_)
        ++held[active.run->job().lane];
    std::size_t all = 0;
    for (const auto& [lane, count] : held)
        all += std::min(count, most_of(lane));
    return {std::move(held), all};
}

std::vector<Catalog::LaneWant> JobRunner::wants(const std::vector<OpenLane>& lanes,
                                                std::int64_t now_s) {
    std::vector<std::string> due;
    for (const OpenLane& lane : lanes) {
        if (lane.next_run_s > now_s || !handles(lane.lane)) continue;
        if (due.empty() || due.back() != lane.lane) due.push_back(lane.lane);
    }
    due = some_of_each_kind(due, turn_);
    std::vector<Catalog::LaneWant> result;
    const std::lock_guard lock(mutex_);
    auto [held, held_in_all] = held_by_lane();
    const std::size_t all = options_.threads + ahead_;
    std::size_t room = all - std::min(held_in_all, all);
    for (std::size_t i = 0; i < due.size() && room > 0; ++i) {
        const std::string& lane = due[(turn_ + i) % due.size()];
        const std::size_t most = most_of(lane);
        const std::size_t has = held[lane];
        // What is left is shared by the lanes that come after it.
        const std::size_t share = (room + due.size() - i - 1) / (due.size() - i);
        const std::size_t count = std::min(share, most > has ? most - has : 0);
        if (count == 0) continue;
        result.push_back({lane, count});
        room -= count;
    }
    ++turn_;
    return result;
}

void JobRunner::take() {
    const std::int64_t now_s = std::time(nullptr);
    const auto lanes = catalog_.open_lanes();
    if (!lanes) {
        conf::log_warn("jobs not looked for reason=\"{}\"", lanes.error().text);
        return;
    }
    const auto wanted = wants(*lanes, now_s);
    if (wanted.empty()) return;
    // By a name of this taking alone: one that is taken away from us and comes back to us is
    // another lease.
    const std::string owner = fmt::format("{}.{}", owner_, ++takes_);
    auto jobs = catalog_.take_jobs(wanted, owner, now_s, options_.lease_s);
    if (!jobs) {
        conf::log_warn("no job taken reason=\"{}\"", jobs.error().text);
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        for (JobRecord& job : *jobs) {
            const std::int64_t until_s = job.lease_until_s;
            active_.push_back({std::make_shared<JobRun>(std::move(job), until_s)});
        }
    }
    workers_.notify_all();
}

// Those whose lease is lost are told so.
void JobRunner::renew_all() {
    std::vector<std::shared_ptr<JobRun>> runs;
    {
        const std::lock_guard lock(mutex_);
        for (const Active& active : active_)
            runs.push_back(active.run);
    }
    for (const auto& run : runs) {
        std::string progress;
        {
            const std::lock_guard lock(run->mutex_);
            progress = run->progress_.value_or(run->job().progress);
        }
        const std::int64_t until_s = std::time(nullptr) + options_.lease_s;
        const auto renewed =
            catalog_.renew_job(run->job().id, run->job().lease_owner, until_s, progress);
        if (renewed && *renewed) {
            run->lease_until_s_ = until_s;
        } else if (renewed) {
            run->ended_ = true;
        }  // else it could only not be written down, and may be ours for as long as it was
    }
}

void JobRunner::house_keeping() {
    const std::int64_t now_s = std::time(nullptr);
    if (const auto owners = catalog_.lease_owners()) {
        for (const std::string& owner : *owners) {
            if (!has_ended(owner)) continue;
            const auto dropped = catalog_.drop_leases(owner, now_s);
            if (dropped && *dropped > 0)
                conf::log_info("jobs of a process that ended are taken over count={}", *dropped);
        }
    }
    if (options_.most_wait_s > 0) {
        const auto brought = catalog_.bring_jobs_forward(now_s + options_.most_wait_s);
        if (!brought)
            conf::log_warn("jobs not brought forward reason=\"{}\"", brought.error().text);
        else if (*brought > 0)
            conf::log_warn("jobs were put off by a clock that was ahead count={}", *brought);
    }
    if (options_.keep_s > 0) {
        if (const auto forgotten = catalog_.forget_jobs(now_s - options_.keep_s); !forgotten)
            conf::log_warn("old jobs not forgotten reason=\"{}\"", forgotten.error().text);
    }
}

// ---- the threads that work

void JobRunner::work() {
    std::unique_lock lock(mutex_);
    auto next = active_.end();
    const auto find_next = [&] {
        Running running;
        for (const Active& active : active_) {
            if (active.state == Active::State::runs) ++running[active.run->job().lane];
        }
        next = std::ranges::find_if(active_, [&](const Active& each) {
            return each.state == Active::State::waits && room_of(each.run->job().lane, running) > 0;
        });
        return next != active_.end();
    };
    while (true) {
        workers_.wait(lock, [&] { return stopping_ || find_next(); });
        if (stopping_) return;
        const auto mine = next;
        mine->state = Active::State::runs;
        const std::shared_ptr<JobRun> run = mine->run;
        lock.unlock();
        JobEnd made = run_one(*run);
        const bool may_wait = made.kind == JobEnd::Kind::relocates ||
                              (made.kind == JobEnd::Kind::done && made.may_wait);
        if (!may_wait) end(*run, made);
        lock.lock();
        ++ends_;
        bool is_first = false;
        if (may_wait) {
            is_first = count(Active::State::ended) == 0;
            if (is_first) first_ended_ = Clock::now();
            mine->end = std::move(made);
            mine->state = Active::State::ended;
        } else {
            active_.erase(mine);
        }
        // A taking costs the same for one job as for several, so as long as there are some to go on
        // with it is not done for each.
        const bool runs_out = !find_next() || count(Active::State::waits) < options_.threads;
        look_now_ = look_now_ || runs_out;
        if (is_first || runs_out || stopping_) dispatcher_.notify_all();
        workers_.notify_one();  // its lanes may have room for two now, and this thread takes one
    }
}

JobEnd JobRunner::run_one(JobRun& run) {
    if (!run.goes_on()) return JobEnd::put_off(0);  // waited for too long, or is to end
    return handlers_.find(type_of_lane(run.job().lane))->second(run);
}

void JobRunner::end(const JobRun& run, const JobEnd& end) {
    report(run.job(), end.kind, end_job(catalog_, run.job(), end));
}

// Says what could not be written down, and counts it.
void JobRunner::report(const JobRecord& job, JobEnd::Kind kind, const Result<bool>& ended) {
    if (!ended)
        conf::log_warn("job not ended id={} reason=\"{}\"", job.id, ended.error().text);
    else if (!*ended)
        conf::log_info("job was somebody else's by its end id={} type={}", job.id, job.type);
    const std::lock_guard lock(mutex_);
    if (kind == JobEnd::Kind::failed) ++counters_.failed;
    if (kind == JobEnd::Kind::done || kind == JobEnd::Kind::relocates) ++counters_.done;
}

Result<bool> end_job(Catalog& catalog, const JobRecord& job, const JobEnd& end) {
    const std::int64_t now_s = std::time(nullptr);
    switch (end.kind) {
        case JobEnd::Kind::done:
        case JobEnd::Kind::relocates: {
            const JobEnding ending{{job.id, job.lease_owner}, end.relocation.get()};
            auto done = std::move(catalog.end_jobs({&ending, 1}, now_s).front());
            const auto instead = came_of(end, done);
            return instead ? end_job(catalog, job, *instead) : done;
        }
        case JobEnd::Kind::put_off:
            return catalog.put_off_job(job.id, job.lease_owner, now_s + end.seconds, false);
        case JobEnd::Kind::interrupted:
            return catalog.put_off_job(job.id, job.lease_owner, now_s, true);
        case JobEnd::Kind::failed:
            break;
    }
    // What the edge is not told to forget it shows, however long nobody tells it. Where it was told
    // and shows it still (busy), telling it again for ever would only keep others from being told.
    const bool is_endless = job.type == kPurgeType && end.error->kind != ErrorKind::busy;
    const Patience patience = is_endless ? Patience::endless : Patience::days;
    const auto retry_s = next_attempt_s(*end.error, job.attempts, now_s, random_part(), patience);
    if (retry_s && waits_for_people(end.error->kind)) {
        conf::log_error("job waits for somebody to mend this id={} type={} in_s={} reason=\"{}\"",
                        job.id, job.type, *retry_s - now_s, end.error->text);
    } else if (retry_s) {
        conf::log_warn("job comes again id={} type={} in_s={} reason=\"{}\"", job.id, job.type,
                       *retry_s - now_s, end.error->text);
    } else {
        conf::log_error("job failed id={} type={} reason=\"{}\"", job.id, job.type,
                        end.error->text);
    }
    return catalog.fail_job(job.id, job.lease_owner,
                            {.error_class = std::string(name_of(end.error->kind)),
                             .text = end.error->text,
                             .retry_at_s = retry_s,
                             .was_begun = !end.changed_nothing},
                            now_s);
}

}  // namespace tidepool::storage
