#include "proxy/serve/job_chores.h"

#include "conf/log.h"
#include "storage/abandoned_uploads.h"
#include "storage/backups.h"
#include "storage/image_remover.h"
#include "storage/purge_job.h"
#include "storage/resumable_uploads.h"

#include <ctime>
#include <map>
#include <utility>

#include <pthread.h>

namespace tidepool::serve {

namespace {

constexpr std::chrono::seconds kLookEvery{10};
constexpr std::chrono::minutes kCountEvery{1};
// It reads every row.
constexpr std::chrono::hours kRecountEvery{6};
constexpr std::chrono::hours kLookForStraysEvery{1};
constexpr std::chrono::minutes kResumeDeletionsEvery{10};

// Bytes that are in one of them and not in the other.
std::uint64_t difference(const storage::Catalog::Recount& counted) {
    std::map<std::pair<storage::PoolId, storage::Role>, std::int64_t> sums;
    for (const storage::Account& account : counted.accounts)
        sums[{account.pool, account.role}] += static_cast<std::int64_t>(account.bytes);
    for (const storage::Account& account : counted.rows)
        sums[{account.pool, account.role}] -= static_cast<std::int64_t>(account.bytes);
    std::uint64_t bytes = 0;
    for (const auto& [whose, sum] : sums)
        bytes += static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
    return bytes;
}

}  // namespace

bool JobChores::Due::is_now(Clock::time_point now) {
    if (now < next) return false;
    next = now + every;
    return true;
}

JobChores::JobChores(const conf::Settings& settings, storage::Catalog& catalog,
                     storage::DriverSet& drivers)
    : catalog_(catalog),
      drivers_(drivers),
      resumables_(settings.upload.spool_path),
      remember_s_(
          std::chrono::duration_cast<std::chrono::seconds>(settings.deletion.remember).count()),
      has_zone_(!settings.purge.zone_id.empty()),
      deletions_{kResumeDeletionsEvery},
      strays_{kLookForStraysEvery},
      backups_{settings.backup.interval},
      counting_{kCountEvery},
      recounting_{kRecountEvery} {}

JobChores::~JobChores() {
    stop();
}

void JobChores::start() {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "chores");
}

void JobChores::stop() {
    {
        const std::lock_guard lock(mutex_);
        is_ending_ = true;
    }
    ending_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void JobChores::run() {
    std::unique_lock lock(mutex_);
    while (!is_ending_) {
        lock.unlock();
        do_what_is_due();
        lock.lock();
        ending_.wait_for(lock, kLookEvery, [this] { return is_ending_; });
    }
}

void JobChores::do_what_is_due() {
    const Clock::time_point now = Clock::now();
    drivers_.exchange_budgets();
    if (also_) also_();
    forget_deletions();
    if (deletions_.is_now(now)) resume_deletions();
    forget_calls();
    clean_uploads();
    clean_resumables(strays_.is_now(now));
    const bool has_copies = storage::has_backup_pool(drivers_) || storage::has_mirror(drivers_);
    if (has_copies && backups_.is_now(now)) look_for_backups();
    if (counting_.is_now(now)) count_jobs();
    if (recounting_.is_now(now)) recount();
}

JobChores::State JobChores::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

void JobChores::forget_deletions() {
    if (const auto done = catalog_.forget_deletions(std::time(nullptr) - remember_s_); !done)
        conf::log_warn("deletions not forgotten reason=\"{}\"", done.error().text);
}

void JobChores::resume_deletions() {
    const auto resumed = storage::resume_deletions(catalog_, std::time(nullptr));
    if (!resumed)
        return conf::log_warn("deletions not taken up again reason=\"{}\"", resumed.error().text);
    if (*resumed > 0) conf::log_warn("deletions taken up again count={}", *resumed);
}

void JobChores::forget_calls() {
    const auto done = catalog_.forget_calls(std::time(nullptr) - storage::Catalog::kSavedCallS);
    if (!done) conf::log_warn("saved calls not forgotten reason=\"{}\"", done.error().text);
}

void JobChores::clean_uploads() {
    const auto cleaned = storage::clean_abandoned_uploads(catalog_, drivers_, std::time(nullptr));
    if (!cleaned)
        return conf::log_warn("abandoned uploads not cleaned reason=\"{}\"", cleaned.error().text);
    if (*cleaned > 0) conf::log_info("abandoned uploads cleaned count={}", *cleaned);
}

void JobChores::clean_resumables(bool with_strays) {
    const std::int64_t now_s = std::time(nullptr);
    const auto expired = storage::clean_expired_resumables(catalog_, resumables_, now_s);
    if (!expired)
        return conf::log_warn("expired uploads not cleaned reason=\"{}\"", expired.error().text);
    if (*expired > 0) conf::log_info("expired uploads cleaned count={}", *expired);
    if (!with_strays) return;
    const auto strays = storage::clean_stray_resumables(catalog_, resumables_, now_s);
    if (!strays)
        return conf::log_warn("stray pieces of uploads not cleaned reason=\"{}\"",
                              strays.error().text);
    if (*strays > 0) conf::log_info("stray pieces of uploads cleaned count={}", *strays);
}

void JobChores::look_for_backups() {
    const auto queued = catalog_.queue_job(storage::backup_scan_job(), std::time(nullptr));
    if (!queued) conf::log_warn("no look for missing backups reason=\"{}\"", queued.error().text);
}

void JobChores::count_jobs() {
    auto counts = catalog_.count_jobs("");
    if (!counts) return conf::log_warn("jobs not counted reason=\"{}\"", counts.error().text);
    std::optional<std::int64_t> oldest_s;
    std::uint64_t failing = 0;
    for (const std::string_view lane : {storage::kPurgeType, storage::kTakedownLane}) {
        const auto found = catalog_.open_in(lane);
        if (!found)
            return conf::log_warn("purges not looked for reason=\"{}\"", found.error().text);
        if (found->oldest_s)
            oldest_s = std::min(oldest_s.value_or(*found->oldest_s), *found->oldest_s);
        failing += found->failing;
    }
    if (oldest_s && !has_zone_) tell_of_purges();
    const std::lock_guard lock(mutex_);
    state_.jobs = std::move(*counts);
    state_.oldest_purge_s = oldest_s;
    state_.failing_purges = failing;
}

// Once: somebody may have meant it so, for this process or for a while.
void JobChores::tell_of_purges() {
    if (std::exchange(has_told_of_purges_, true)) return;
    conf::log_warn(
        "purges wait that this process cannot do: set purge.zone_id and purge.api_token and "
        "restart, or cancel them (tidepool jobs cancel --type purge)");
}

void JobChores::recount() {
    const auto counted = catalog_.recount();
    if (!counted)
        return conf::log_warn("accounts not recounted reason=\"{}\"", counted.error().text);
    const std::uint64_t bytes = difference(*counted);
    if (!counted->balanced())
        conf::log_error("the accounts are not what the rows sum up to bytes={}", bytes);
    const std::lock_guard lock(mutex_);
    state_.drift_bytes = bytes;
}

}  // namespace tidepool::serve
