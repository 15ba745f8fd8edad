#include "proxy/upload/intake.h"

#include "conf/cidr.h"
#include "conf/log.h"
#include "storage/job_owner.h"
#include "storage/mover.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>
#include <utility>

#include <sys/resource.h>

namespace tidepool::upload {

namespace {

// Enough for several uploads to wait for the disk at once, which then writes them together.
constexpr unsigned kWriters = 16;
// This part of upload.parallel is not for the uploads of one pool, or of one owner, alone.
constexpr std::size_t kKeptForOthers = 4;
// As of the processes that make variants.
constexpr int kWriterNice = 10;

}  // namespace

Intake::Intake(const UploadMeans& means)
    : means_(means),
      spool_(means.settings.upload.spool_path),
      spool_room_(means.settings.upload, spool_),
      process_(storage::new_job_owner()),
      writers_({.threads = kWriters, .queue = 4 * std::size_t{means.settings.upload.parallel}}),
      workers_("upload", kWriters, 4 * std::size_t{means.settings.upload.parallel}) {}

loop::WorkerPool& Intake::workers_of(storage::PoolId pool) {
    const std::vector<storage::KnownPool> pools = means_.drivers->pools();
    const auto known = std::ranges::find(pools, pool, &storage::KnownPool::id);
    return known == pools.end() ? workers_ : writers_.of(*known).workers();
}

Result<storage::PoolRoom> Intake::room_of(const storage::DriverSet::Pool& pool) {
    return writers_.of(pool.known).room(pool.known.id, pool.driver);
}

std::optional<Intake::Running> Intake::begin() {
    const std::size_t before = counters_.running.fetch_add(1, std::memory_order_relaxed);
    Running running(counters_.running);
    if (before >= means_.settings.upload.parallel) return std::nullopt;
    return running;
}

std::optional<Intake::Running> Intake::begin_in(const storage::KnownPool& pool) {
    std::atomic<std::size_t>& count = writers_.of(pool).running();
    const std::size_t before = count.fetch_add(1, std::memory_order_relaxed);
    Running running(count);
    const bool has_others =
        std::ranges::any_of(means_.drivers->pools(), [&](const storage::KnownPool& other) {
            return other.id != pool.id && storage::takes_images(other);
        });
    const std::size_t all = means_.settings.upload.parallel;
    const std::size_t most =
        has_others ? std::max<std::size_t>(1, all - all / kKeptForOthers) : all;
    if (before >= most) return std::nullopt;
    return running;
}

std::optional<SharedPlaces::Place> Intake::begin_of(std::string_view owner) {
    const std::size_t all = means_.settings.upload.parallel;
    auto place = owners_.take(owner, all, all - all / kKeptForOthers);
    if (!place) return std::nullopt;
    return std::move(*place);
}

std::expected<SharedPlaces::Place, SharedPlaces::Full> Intake::begin_tokenless(
    std::string_view client) {
    const conf::UploadSettings& upload = means_.settings.upload;
    const bool is_limited =
        upload.tokenless_per_address != 0 && conf::IpAddress::parse(client).has_value();
    return tokenless_.take(conf::client_network(client), upload.parallel_tokenless,
                           is_limited ? upload.tokenless_per_address : upload.parallel_tokenless);
}

Intake::Held::Held(Intake& intake, storage::UploadId id) : intake_(intake), id_(id) {
    const std::lock_guard lock(intake_.held_mutex_);
    intake_.held_.push_back(id_);
}

Intake::Held::~Held() {
    const std::lock_guard lock(intake_.held_mutex_);
    std::erase(intake_.held_, id_);
}

std::optional<SharedPlaces::Place> Intake::hold_key(std::string_view key) {
    auto place = keys_.take(key, std::numeric_limits<std::size_t>::max(), 1);
    if (!place) return std::nullopt;
    return std::move(*place);
}

void Intake::renew() {
    std::vector<storage::UploadId> held;
    {
        const std::lock_guard lock(held_mutex_);
        held = held_;
    }
    const auto renewed = means_.catalog->renew_uploads(held, std::time(nullptr) + kLeaseS);
    if (!renewed) conf::log_warn("uploads not renewed reason=\"{}\"", renewed.error().text);
}

WritingTurns::Turn Intake::stand_back() {
    thread_local bool stands_back = false;
    // Of this thread alone (setpriority(2), Bugs). Where it is not allowed all are equal.
    if (!std::exchange(stands_back, true) &&
        setpriority(PRIO_PROCESS, 0, std::max(kWriterNice, getpriority(PRIO_PROCESS, 0))) != 0)
        conf::log_warn("a thread does not stand back errno={}", errno);
    return turns_.take();
}

void Intake::count_end(int status) {
    if (status < 400) return;
    (status >= 500 ? counters_.failed : counters_.refused).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace tidepool::upload
