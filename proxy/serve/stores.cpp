#include "proxy/serve/stores.h"

#include "conf/log.h"
#include "storage/reconcile_job.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <utility>

#include <pthread.h>

namespace tidepool::serve {

namespace {

constexpr std::size_t kAdoptQueue = 10'000;
constexpr std::size_t kAdoptBatch = 500;
// What was used of a budget within this is forgotten when the process is killed, and known to
// others that late.
constexpr std::chrono::seconds kBudgetInterval{10};

}  // namespace

Stores::Stores(const conf::Settings& settings, std::unique_ptr<storage::Catalog> catalog,
               std::unique_ptr<storage::Shelf> shelf)
    : origin_(settings.origin), catalog_(std::move(catalog)), shelf_(std::move(shelf)) {
    const conf::WorkerSettings& workers = settings.workers;
    if (catalog_) {
        catalog_workers_ =
            std::make_unique<loop::WorkerPool>("catalog", workers.threads_per_pool, workers.queue);
        catalog_watch_ = std::thread(
            [this, interval = settings.cache.freshness / 2] { watch_catalog(interval); });
        pthread_setname_np(catalog_watch_.native_handle(), "catalog watch");
    }
    if (shelf_) {
        shelf_workers_ =
            std::make_unique<loop::WorkerPool>("shelf", workers.threads_per_pool, workers.queue);
        shelf_scan_ = std::thread([this] { shelf_->scan(); });
        pthread_setname_np(shelf_scan_.native_handle(), "shelf scan");
    }
}

Stores::~Stores() {
    {
        const std::lock_guard lock(watch_mutex_);
        ending_ = true;
    }
    watch_end_.notify_all();
    if (catalog_watch_.joinable()) catalog_watch_.join();
    for (const auto& [id, remote] : remotes_)
        end_authorization(remote);
    exchange_budgets();
    if (shelf_) shelf_->stop_scan();
    if (shelf_scan_.joinable()) shelf_scan_.join();
}

// False: it is time to end.
bool Stores::pause_watch(std::chrono::milliseconds time) {
    std::unique_lock lock(watch_mutex_);
    return !watch_end_.wait_for(lock, time, [this] { return ending_; });
}

void Stores::call(const std::function<void()>& told) {
    const std::lock_guard lock(told_mutex_);
    if (told) told();
}

void Stores::watch_catalog(std::chrono::milliseconds interval) {
    std::uint64_t seen = 0;
    std::uint64_t evictions_seen = 0;
    bool had_evicted = false;
    auto budgets_due = std::chrono::steady_clock::now() + kBudgetInterval;
    while (pause_watch(std::min<std::chrono::milliseconds>(interval, kBudgetInterval))) {
        if (const auto now = std::chrono::steady_clock::now(); now >= budgets_due) {
            exchange_budgets();
            budgets_due = now + kBudgetInterval;
        }
        // Evictions are counted before their files go, so there is another look after the last one.
        const std::uint64_t evictions = shelf_ ? shelf_->usage().evictions : 0;
        const bool has_evicted = std::exchange(evictions_seen, evictions) != evictions;
        if (std::exchange(had_evicted, has_evicted) || has_evicted) call(evicted_);
        const auto changes = catalog_->foreign_changes();
        // One that cannot be asked may have changed.
        if (changes && *changes == seen) continue;
        if (changes) seen = *changes;
        catalog_state_.fetch_add(1, std::memory_order_release);
        call(changed_);
    }
}

void Stores::on_foreign_change(std::function<void()> changed) {
    const std::lock_guard lock(told_mutex_);
    changed_ = std::move(changed);
}

void Stores::on_eviction(std::function<void()> evicted) {
    const std::lock_guard lock(told_mutex_);
    evicted_ = std::move(evicted);
}

void Stores::use_pools(const std::vector<storage::KnownPool>& pools) {
    std::map<std::string, storage::PoolId> ids;
    std::map<storage::PoolId, Remote> remotes;
    std::set<storage::PoolId> closed;
    std::vector<Remote> replaced;
    // Nobody else changes remotes_. The lock is not held while the catalog is asked, as loops want
    // it.
    for (const storage::KnownPool& pool : pools) {
        if (pool.id == 0) continue;
        ids.emplace(pool.settings.name, pool.id);
        if (pool.settings.is_private()) closed.insert(pool.id);
        const bool is_served = pool.settings.storage_type == conf::PoolSettings::Type::s3 &&
                               pool.settings.is_active && !pool.settings.is_backup_target;
        const auto known = remotes_.find(pool.id);
        const bool is_known = known != remotes_.end();
        const bool is_same = is_known && is_served && known->second.pool->settings == pool.settings;
        if (is_known && !is_same) {
            exchange(known->second);  // before the new one asks
            replaced.push_back(known->second);
        }
        if (is_served) remotes.emplace(pool.id, is_same ? known->second : make_remote(pool));
    }
    {
        const std::lock_guard lock(pools_mutex_);
        ids_ = std::move(ids);
        private_ = std::move(closed);
        std::swap(remotes_, remotes);
    }
    // Rows that name pools mean something else now.
    catalog_state_.fetch_add(1, std::memory_order_release);
    // Objects may keep a pool that has gone, and let go of it on a loop.
    for (const auto& [id, before] : remotes) {
        const auto present = remotes_.find(id);
        if (present == remotes_.end() || present->second.pool != before.pool)
            end_authorization(before);
    }
    for (const Remote& remote : replaced)
        exchange(remote);  // what was used meanwhile
}

Stores::Remote Stores::make_remote(const storage::KnownPool& pool) {
    Remote remote;
    remote.pool = std::make_shared<RemotePool>(pool.settings);
    const std::shared_ptr<storage::StoreGate> gate(remote.pool, &remote.pool->gate);
    remote.budget = std::make_shared<storage::SavedBudget>(*catalog_, pool.id, gate);
    exchange(remote);
    if (pool.settings.download_authorization) {
        remote.pool->authorization = keep_authorized(pool.settings, remote.pool->gate, origin_);
    }
    return remote;
}

// Blocks for up to a second.
void Stores::end_authorization(const Remote& remote) {
    if (remote.pool->authorization) remote.pool->authorization->stop();
}

// Blocks on the catalog.
void Stores::exchange(const Remote& remote) {
    const auto done = remote.budget->exchange(std::time(nullptr));
    if (done) return;
    // The next time makes up for it.
    conf::log_warn("budget not saved pool={} reason=\"{}\"", remote.pool->settings.name,
                   done.error().text);
}

void Stores::exchange_budgets() {
    std::vector<Remote> all;
    {
        const std::lock_guard lock(pools_mutex_);
        for (const auto& [id, remote] : remotes_)
            all.push_back(remote);
    }
    for (const Remote& remote : all)
        exchange(remote);
}

std::shared_ptr<RemotePool> Stores::remote(storage::PoolId id) const {
    const std::lock_guard lock(pools_mutex_);
    const auto found = remotes_.find(id);
    return found == remotes_.end() ? nullptr : found->second.pool;
}

std::vector<std::shared_ptr<RemotePool>> Stores::remotes() const {
    const std::lock_guard lock(pools_mutex_);
    std::vector<std::shared_ptr<RemotePool>> all;
    for (const auto& [id, remote] : remotes_)
        all.push_back(remote.pool);
    return all;
}

std::optional<storage::PoolId> Stores::id_of(const std::string& pool) const {
    const std::lock_guard lock(pools_mutex_);
    const auto found = ids_.find(pool);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
}

bool Stores::is_private(storage::PoolId id) const {
    const std::lock_guard lock(pools_mutex_);
    return private_.contains(id);
}

std::string Stores::name_of(storage::PoolId id) const {
    const std::lock_guard lock(pools_mutex_);
    const auto found = std::ranges::find(ids_, id, [](const auto& each) { return each.second; });
    return found == ids_.end() ? std::string() : found->first;
}

void Stores::adopt(storage::ObjectRecord object) {
    if (!catalog_) return;
    {
        const std::lock_guard lock(adopt_mutex_);
        if (to_adopt_.size() >= kAdoptQueue) {
            not_adopted_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        to_adopt_.push_back(std::move(object));
        if (std::exchange(adopting_, true)) return;
    }
    if (catalog_workers_->submit(loop::Lane::bulk, [this] { write_adopted(); })) return;
    const std::lock_guard lock(adopt_mutex_);
    adopting_ = false;  // whoever comes next tries again
}

void Stores::learn_digest(storage::ObjectRecord object) {
    if (!catalog_) return;
    const bool taken =
        catalog_workers_->submit(loop::Lane::bulk, [this, object = std::move(object)] {
            const auto learnt = catalog_->learn_digest(object);
            if (learnt) return;
            not_adopted_.fetch_add(1, std::memory_order_relaxed);
            conf::log_warn("digest not written down key={} reason=\"{}\"", object.key,
                           learnt.error().text);
        });
    if (!taken) not_adopted_.fetch_add(1, std::memory_order_relaxed);
}

// On a worker, one at a time.
void Stores::write_adopted() {
    std::vector<storage::ObjectRecord> batch;
    while (true) {
        batch.clear();
        {
            const std::lock_guard lock(adopt_mutex_);
            const std::size_t count = std::min(kAdoptBatch, to_adopt_.size());
            adopting_ = count > 0;
            if (count == 0) return;
            const auto end = to_adopt_.begin() + static_cast<std::ptrdiff_t>(count);
            std::move(to_adopt_.begin(), end, std::back_inserter(batch));
            to_adopt_.erase(to_adopt_.begin(), end);
        }
        const auto results = catalog_->adopt(batch);
        if (results) {
            adopted_.fetch_add(batch.size(), std::memory_order_relaxed);
        } else {
            not_adopted_.fetch_add(batch.size(), std::memory_order_relaxed);
            conf::log_warn("not written down count={} reason=\"{}\"", batch.size(),
                           results.error().text);
        }
    }
}

void Stores::report_inconsistency(const std::string& key, const std::string& pool,
                                  const std::string& what) {
    inconsistencies_.fetch_add(1, std::memory_order_relaxed);
    conf::log_error("catalog and store disagree pool={} key={} reason=\"{}\"", pool, key, what);
    queue_job(storage::reconcile_job(pool, key));
}

void Stores::queue_job(storage::NewJob job) {
    if (!catalog_) return;
    const bool taken = catalog_workers_->submit(loop::Lane::bulk, [this, job = std::move(job)] {
        const auto queued = catalog_->queue_job(job, std::time(nullptr));
        if (!queued) conf::log_warn("job not queued reason=\"{}\"", queued.error().text);
    });
    if (!taken) conf::log_warn("job not queued reason=\"too many wait\"");
}

}  // namespace tidepool::serve
