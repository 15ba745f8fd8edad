#include "storage/tier_sweep.h"

#include "conf/day_window.h"
#include "conf/log.h"
#include "conf/random_name.h"
#include "storage/job_owner.h"
#include "storage/mover.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

using State = JobRecord::State;

constexpr const char* kSweepClaim = "tiering sweep";
constexpr std::int64_t kSweepClaimMs = 900'000;
// Sweeps are judged by the moves of so many of them, and by no fewer moves than that, however many
// sweeps it took to queue them.
constexpr std::size_t kJudgedBatches = 5;
constexpr std::uint64_t kLeastJudged = 10;
// A sweep that is later than that is one of a clock that was ahead.
constexpr std::int64_t kClockSlackS = 60;
constexpr std::size_t kMostListedImages = 10'000'000;

// What the names of the batches of that second begin with.
std::string batch_time(std::int64_t now_s) {
    const std::time_t time = now_s;
    std::tm utc{};
    gmtime_r(&time, &utc);
    return fmt::format("{}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", kTierBatch, utc.tm_year + 1900,
                       utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

class Planning {
  public:
    Planning(const TierContext& context, std::int64_t now_s)
        : catalog_(context.catalog),
          context_(context),
          settings_(context.settings),
          now_s_(now_s) {}

    // The steps in their order; the first that fails ends it.
    Result<SweepPlan> make() {
        for (const auto step :
             {&Planning::read_cohort, &Planning::read_pools, &Planning::read_batches,
              &Planning::read_left_out, &Planning::read_coldest, &Planning::read_hottest}) {
            if (auto done = (this->*step)(); !done) return std::unexpected(std::move(done.error()));
        }
        for (const TierPool& pool : input_.pools) {
            if (is_to_be_emptied(pool, settings_)) result_.emptying.push_back(pool.id);
        }
        std::ranges::sort(result_.emptying);
        input_.now_s = now_s_;
        result_.plan = plan_tiering(input_, settings_);
        std::ranges::move(notes_, std::back_inserter(result_.plan.notes));
        return std::move(result_);
    }

  private:
    Result<void> read_cohort() {
        if (settings_.cohort_file.empty()) return {};
        std::ifstream file(settings_.cohort_file);
        if (!file)
            return fail(ErrorKind::invalid, fmt::format("tiering.cohort_file: {} cannot be read",
                                                        settings_.cohort_file));
        std::size_t number = 0;
        for (std::string line; std::getline(file, line);) {
            ++number;
            if (line.ends_with('\r')) line.pop_back();
            if (line.empty() || line.starts_with('#')) continue;
            const auto uuid = parse_uuid(line);
            if (!uuid || listed_.size() >= kMostListedImages)
                return fail(ErrorKind::invalid,
                            fmt::format("{}:{}: expected one of up to {} UUIDs in lower case",
                                        settings_.cohort_file, number, kMostListedImages));
            listed_.push_back(*uuid);
        }
        if (file.bad())
            return fail(ErrorKind::io, fmt::format("{} cannot be read", settings_.cohort_file));
        std::ranges::sort(listed_);
        return {};
    }

    bool is_in_cohort(const Uuid& image) const {
        if (cohort_of(image) >= settings_.cohort_percent) return false;
        return settings_.cohort_file.empty() || std::ranges::binary_search(listed_, image);
    }

    Result<void> read_pools() {
        const auto accounts = catalog_.accounts();
        if (!accounts) return std::unexpected(accounts.error());
        const auto emptying = catalog_.emptying_pools();
        if (!emptying) return std::unexpected(emptying.error());
        for (const KnownPool& known : context_.pools) {
            const conf::PoolSettings& pool = known.settings;
            if (known.id == 0 || pool.is_backup_target) continue;
            const bool is_usable = pool.is_active && known.problem.empty();
            TierPool& tier = input_.pools.emplace_back();
            tier.id = known.id;
            tier.name = pool.name;
            tier.tier = pool.storage_tier;
            tier.priority = pool.priority;
            tier.is_bucket = pool.storage_type == conf::PoolSettings::Type::s3;
            tier.takes = is_usable && known.state == PoolRecord::State::active;
            tier.gives = is_usable;
            tier.max_size_bytes = pool.max_size_bytes;
            for (const Account& account : *accounts) {
                if (account.pool == known.id) tier.used_bytes += account.bytes;
            }
            tier.is_emptying = std::ranges::binary_search(*emptying, known.id);
            if (!tier.is_bucket) {
                read_space(tier);
                continue;
            }
            const auto use = catalog_.add_budget_use(known.id, now_s_ / conf::kDayS, {});
            if (!use) return std::unexpected(use.error());
            input_.used_today.class_b_calls += use->class_b_calls;
            input_.used_today.class_c_calls += use->class_c_calls;
        }
        return {};
    }

    // What the accounts of other pools hold on the same disk counts there, too, and so does what is
    // no image. Of a disk that does not answer nothing is known, so nothing goes there.
    void read_space(TierPool& pool) {
        if (context_.drivers == nullptr || !pool.takes) return;
        const auto found = context_.drivers->find(pool.id);
        const auto space = found ? found->driver->space() : std::unexpected(found.error());
        if (!space) {
            pool.takes = false;
            notes_.push_back(
                fmt::format("nothing goes to pool {}: {}", pool.name, space.error().text));
            return;
        }
        pool.free_bytes = space->free_bytes;
        pool.disk_bytes = space->total_bytes.value_or(0);
    }

    TierPool* find_pool(PoolId id) {
        const auto found = std::ranges::find(input_.pools, id, &TierPool::id);
        return found == input_.pools.end() ? nullptr : &*found;
    }

    // What earlier sweeps left open, and how well they went.
    Result<void> read_batches() {
        const auto counts = catalog_.count_batches(kTierBatch);
        if (!counts) return std::unexpected(counts.error());
        std::uint64_t failed = 0;
        std::uint64_t ended = 0;
        for (const BatchCount& each : *counts) {
            if (each.state == State::queued || each.state == State::running) {
                result_.open += each.count;
                if (auto read = read_open(each); !read) return read;
            }
            if (!is_judged(each.batch, ended)) continue;
            if (each.state == State::failed) failed += each.count;
            if (each.state == State::failed || each.state == State::done) ended += each.count;
        }
        const std::uint64_t most = settings_.max_candidates_per_sweep;
        input_.budget = {.images = most - std::min(most, result_.open),
                         .bytes = settings_.sweep_bytes};
        if (ended < kLeastJudged || failed * 100 <= ended * settings_.max_error_percent) return {};
        const auto is_recent = have_failed_lately();
        if (!is_recent) return std::unexpected(is_recent.error());
        if (!*is_recent) return {};
        result_.stopped = fmt::format(
            "{} of the last {} moves that ended have failed, more than {} percent "
            "(tiering.max_error_percent): see tidepool jobs list --state failed, then retry these "
            "and resume those that are paused",
            failed, ended, settings_.max_error_percent);
        return {};
    }

    // They come with the last one first. Those of more than a day ago, and more than the usual
    // ones, count where the later ones are too few to say anything.
    bool is_judged(const std::string& batch, std::uint64_t ended) {
        auto& judged = result_.judged;
        if (!judged.empty() && judged.back() == batch) return true;
        if (batch > batch_time(now_s_ + kClockSlackS)) return false;
        const bool is_usual =
            judged.size() < kJudgedBatches && batch >= batch_time(now_s_ - conf::kDayS);
        if (!is_usual && ended >= kLeastJudged) return false;
        judged.push_back(batch);
        return true;
    }

    // Whether one of those that are judged has failed within a day.
    Result<bool> have_failed_lately() {
        for (const std::string& batch : result_.judged) {
            const auto found =
                for_each_job({.type = "move", .batch = batch, .state = State::failed},
                             [&](const JobRecord& job) -> Result<bool> {
                                 return job.finished_s <= now_s_ - conf::kDayS ||
                                        job.finished_s > now_s_ + kClockSlackS;
                             });
            if (!found) return std::unexpected(found.error());
            if (!*found) return true;
        }
        return false;
    }

    // Until `take` says false, which it then gives, too.
    Result<bool> for_each_job(JobFilter filter,
                              const std::function<Result<bool>(const JobRecord&)>& take) {
        while (true) {
            const auto jobs = catalog_.list_jobs(filter, Catalog::kPage);
            if (!jobs) return std::unexpected(jobs.error());
            for (const JobRecord& job : *jobs) {
                auto goes_on = take(job);
                if (!goes_on || !*goes_on) return goes_on;
            }
            if (jobs->size() < Catalog::kPage) return true;
            filter.after = jobs->back().id;
        }
    }

    // The bytes that are on their way already count where they go.
    Result<void> read_open(const BatchCount& batch) {
        const auto done = for_each_job({.type = "move", .batch = batch.batch, .state = batch.state},
                                       [&](const JobRecord& job) -> Result<bool> {
                                           if (auto counted = count_open(job); !counted)
                                               return std::unexpected(counted.error());
                                           return true;
                                       });
        if (!done) return std::unexpected(done.error());
        return {};
    }

    // Those that the catalog leaves out by TierFilter::failed_since_s, for people.
    Result<void> read_left_out() {
        std::map<Uuid, LeftOutImage> found;
        const auto done = for_each_job(
            {.type = "move", .state = State::failed}, [&](const JobRecord& job) -> Result<bool> {
                const auto target = target_of(job);
                if (job.finished_s < now_s_ - kLeaveOutS || !target || !target->image) return true;
                const auto image = catalog_.find_image(*target->image);
                if (!image) return std::unexpected(image.error());
                const bool is_left_out = *image && (*image)->moved_s <= job.finished_s &&
                                         (*image)->state == ImageRecord::State::complete &&
                                         find_pool((*image)->pool) != nullptr;
                if (is_left_out) found[*target->image] = {*target->image, (*image)->pool, job};
                return found.size() < kMostLeftOut;
            });
        if (!done) return std::unexpected(done.error());
        for (auto& [image, each] : found)
            result_.left_out.push_back(std::move(each));
        if (result_.left_out.empty()) return {};
        notes_.push_back(fmt::format(
            "images that are left out, as a move of them has failed less than {} days ago: {}{}; "
            "see tidepool jobs list --type move --state failed, and retry what is mended",
            kLeaveOutS / conf::kDayS, *done ? "" : "at least ", result_.left_out.size()));
        return {};
    }

    Result<void> count_open(const JobRecord& job) {
        const auto target = target_of(job);
        if (!target) return {};
        const std::optional<Uuid>& image = target->image;
        if (!image) return {};
        const auto rows = catalog_.objects_of(*image);
        if (!rows) return std::unexpected(rows.error());
        TierPool* const to = find_pool(target->to);
        for (const ObjectRecord& row : *rows) {
            if (row.pool == target->to) continue;
            if (TierPool* const from = find_pool(row.pool)) from->leaving_bytes += row.size;
            if (to != nullptr) to->coming_bytes += row.size;
        }
        return {};
    }

    std::int64_t days_ago(unsigned days) const {
        return now_s_ - static_cast<std::int64_t>(days) * conf::kDayS;
    }

    TierFilter filter_of(const TierPool& pool) const {
        return {.pool = pool.id,
                .limit = static_cast<std::size_t>(input_.budget.images),
                // At that very second it has dwelt there.
                .moved_before_s = days_ago(settings_.min_dwell_days_per_tier) + 1,
                .failed_since_s = now_s_ - kLeaveOutS,
                .is_in_cohort = [this](const Uuid& image) { return is_in_cohort(image); }};
    }

    Result<void> read_coldest() {
        for (const TierPool& pool : input_.pools) {
            const bool is_left = pool.tier == Tier::hot || pool.tier == Tier::warm;
            if (!is_left || !pool.gives) continue;
            const bool is_hot = pool.tier == Tier::hot;
            const bool pressed = is_pressed(pool, settings_);
            TierFilter filter = filter_of(pool);
            if (filter.limit == 0) {
                input_.coldest.push_back({.pool = pool.id});
                continue;
            }
            if (!pressed) {
                filter.uploaded_before_s = days_ago(is_hot ? settings_.hot_keep_days_after_upload
                                                           : settings_.warm_keep_days);
                filter.viewed_before_s = days_ago(is_hot ? settings_.demote_if_no_views_days
                                                         : settings_.warm_no_views_days);
            }
            const auto images = catalog_.coldest_images(filter);
            if (!images) return std::unexpected(images.error());
            auto source = source_of(pool.id, *images);
            if (!source) return std::unexpected(std::move(source.error()));
            if (pressed && images->size() < filter.limit) {
                // Does the dwell time keep any of the others?
                filter.moved_before_s = std::nullopt;
                filter.limit = images->size() + 1;
                const auto all = catalog_.coldest_images(filter);
                if (!all) return std::unexpected(all.error());
                source->some_dwell = all->size() > images->size();
            }
            input_.coldest.push_back(std::move(*source));
        }
        return {};
    }

    Result<void> read_hottest() {
        if (settings_.promote_hits == 0 || input_.budget.images == 0) return {};
        const auto half_life =
            std::chrono::duration_cast<std::chrono::seconds>(settings_.promote_window);
        for (const TierPool& pool : input_.pools) {
            if (pool.tier == Tier::hot || !pool.gives) continue;
            const auto images = catalog_.hottest_images(filter_of(pool), settings_.promote_hits,
                                                        now_s_, half_life.count());
            if (!images) return std::unexpected(images.error());
            auto source = source_of(pool.id, *images);
            if (!source) return std::unexpected(std::move(source.error()));
            input_.hottest.push_back(std::move(*source));
        }
        return {};
    }

    Result<TierSource> source_of(PoolId pool, const std::vector<TierImage>& images) {
        TierSource source{.pool = pool};
        for (const TierImage& image : images) {
            auto rows = catalog_.objects_of(image.image);
            if (!rows) return std::unexpected(std::move(rows.error()));
            std::erase_if(*rows, [pool](const ObjectRecord& row) { return row.pool != pool; });
            source.candidates.push_back({image, size_of(*rows)});
        }
        return source;
    }

    Catalog& catalog_;
    const TierContext& context_;
    const conf::TieringSettings& settings_;
    const std::int64_t now_s_;
    std::vector<Uuid> listed_;  // in the cohort's file, sorted
    TierInput input_;
    std::vector<std::string> notes_;  // beside the plan's own
    SweepPlan result_;
};

// Lets go of the claim however the sweep ends.
class Claim {
  public:
    Claim(Catalog& catalog, const std::string& owner) : catalog_(catalog), owner_(owner) {}
    ~Claim() {
        if (!is_ours_) return;
        if (const auto released = catalog_.release(kSweepClaim, owner_); !released)
            conf::log_warn("claim stays work=\"{}\" reason=\"{}\"", kSweepClaim,
                           released.error().text);
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    Result<void> take(std::int64_t now_ms) {
        const auto is_ours =
            catalog_.claim(kSweepClaim, owner_, now_ms, now_ms + kSweepClaimMs, has_ended);
        if (!is_ours) return std::unexpected(is_ours.error());
        is_ours_ = *is_ours;
        if (is_ours_) return {};
        return fail(ErrorKind::busy, "another process is making a sweep");
    }

  private:
    Catalog& catalog_;
    const std::string owner_;
    bool is_ours_ = false;
};

Result<std::uint64_t> pause_batches(Catalog& catalog, const std::vector<std::string>& batches,
                                    std::int64_t now_s) {
    std::uint64_t paused = 0;
    for (const std::string& batch : batches) {
        JobFilter filter{.type = "move", .batch = batch, .state = State::queued};
        while (true) {
            const auto jobs = catalog.list_jobs(filter, Catalog::kPage);
            if (!jobs) return std::unexpected(jobs.error());
            for (const JobRecord& job : *jobs) {
                const auto is_paused = catalog.set_job_state(job.id, State::paused, now_s);
                if (!is_paused) return std::unexpected(is_paused.error());
                paused += *is_paused ? 1 : 0;
            }
            if (jobs->size() < Catalog::kPage) break;
            filter.after = jobs->back().id;
        }
    }
    return paused;
}

Result<void> queue_plan(Catalog& catalog, const TierPlan& plan, Sweep& sweep, std::int64_t now_s) {
    sweep.batch = fmt::format("{} {}", batch_time(now_s), conf::random_name());
    std::vector<NewJob> jobs;
    const auto flush = [&]() -> Result<void> {
        const auto ids = catalog.queue_jobs(jobs, now_s);
        if (!ids) return std::unexpected(ids.error());
        sweep.queued += jobs.size();
        jobs.clear();
        return {};
    };
    for (const TierMove& move : plan.moves) {
        const MoveTarget target{.image = move.what.image.image, .key = {}, .to = move.to};
        jobs.push_back(move_job(target, move.from, kTierPriority, sweep.batch));
        if (jobs.size() < Catalog::kPage) continue;
        if (auto flushed = flush(); !flushed) return flushed;
    }
    return jobs.empty() ? Result<void>() : flush();
}

}  // namespace

Result<SweepPlan> plan_sweep(const TierContext& context, std::int64_t now_s) {
    return Planning(context, now_s).make();
}

Result<Sweep> run_sweep(const TierContext& context, const std::string& owner, std::int64_t now_s) {
    Claim claim(context.catalog, owner);
    if (auto taken = claim.take(now_s * 1000); !taken)
        return std::unexpected(std::move(taken.error()));
    auto plan = plan_sweep(context, now_s);
    if (!plan) return std::unexpected(std::move(plan.error()));
    Sweep sweep{.plan = std::move(*plan), .batch = {}};
    if (auto noted = context.catalog.set_emptying_pools(sweep.plan.emptying); !noted)
        return std::unexpected(std::move(noted.error()));
    if (!sweep.plan.stopped.empty()) {
        const auto paused = pause_batches(context.catalog, sweep.plan.judged, now_s);
        if (!paused) return std::unexpected(paused.error());
        sweep.paused = *paused;
        conf::log_error("sweeps are stopped paused={} reason=\"{}\"", sweep.paused,
                        sweep.plan.stopped);
        return sweep;
    }
    if (sweep.plan.plan.moves.empty()) return sweep;
    if (auto queued = queue_plan(context.catalog, sweep.plan.plan, sweep, now_s); !queued)
        return std::unexpected(std::move(queued.error()));
    return sweep;
}

}  // namespace tidepool::storage
