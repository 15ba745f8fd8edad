// What the server knows of its pools beside their folders: the catalog, the buckets, the shelf.
#pragma once

#include "conf/settings.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/remote_pool.h"
#include "storage/catalog.h"
#include "storage/known_pool.h"
#include "storage/saved_budget.h"
#include "storage/shelf.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tidepool::serve {

// Shared by all loops; outlives them. Made by the main thread before they start.
class Stores {
  public:
    // None of both: then only local pools are served, and what is in them is not written down.
    Stores() = default;
    // `catalog` and `shelf` may be null.
    Stores(const conf::Settings& settings, std::unique_ptr<storage::Catalog> catalog,
           std::unique_ptr<storage::Shelf> shelf);
    ~Stores();
    Stores(const Stores&) = delete;
    Stores& operator=(const Stores&) = delete;

    // From now on the buckets among these are served, and no others. One whose settings are the
    // same stays as it is, with all that is known of it; of a new one it is asked what was used of
    // its budget today. Blocks on the catalog. Any thread but a loop's, one at a time.
    void use_pools(const std::vector<storage::KnownPool>& pools);
    // Called, on a thread of its own, when another process has changed the catalog. Once this has
    // returned, what was set before is not called any more.
    void on_foreign_change(std::function<void()> changed);
    // The same, when files have been taken off the shelf to make room since it was last called.
    void on_eviction(std::function<void()> evicted);

    storage::Catalog* catalog() const { return catalog_.get(); }
    // Changes, within cache.freshness, when another process has changed the catalog: as long as it
    // is the same, so is what was read there.
    std::uint64_t catalog_state() const { return catalog_state_.load(std::memory_order_acquire); }
    // What was read there may have changed, by this process.
    void note_change() { catalog_state_.fetch_add(1, std::memory_order_release); }
    loop::WorkerPool& catalog_workers() { return *catalog_workers_; }
    storage::Shelf* shelf() const { return shelf_.get(); }
    loop::WorkerPool* shelf_workers() { return shelf_workers_.get(); }

    // The bucket that a row names; null where that is none which is served.
    std::shared_ptr<RemotePool> remote(storage::PoolId id) const;
    std::vector<std::shared_ptr<RemotePool>> remotes() const;
    // Nothing where there is no catalog.
    std::optional<storage::PoolId> id_of(const std::string& pool) const;
    // Whether all that lives there is private.
    bool is_private(storage::PoolId id) const;
    // Of one that is in the configuration, else "".
    std::string name_of(storage::PoolId id) const;

    // Writes down what was found in a pool, soon: those that come while others are being written
    // are written together. Any thread; never blocks. Where too many wait, it is dropped, as it is
    // found again later.
    void adopt(storage::ObjectRecord object);
    // Writes down the SHA-256 of an object, where its row still says the same of it. As adopt().
    void learn_digest(storage::ObjectRecord object);
    // Queues a job. As adopt().
    void queue_job(storage::NewJob job);
    // Notes that the catalog and a store disagree on this key, for a job to look at. As adopt().
    void report_inconsistency(const std::string& key, const std::string& pool,
                              const std::string& what);

    std::uint64_t adopted() const { return adopted_.load(std::memory_order_relaxed); }
    std::uint64_t not_adopted() const { return not_adopted_.load(std::memory_order_relaxed); }
    std::uint64_t inconsistencies() const {
        return inconsistencies_.load(std::memory_order_relaxed);
    }

  private:
    void write_adopted();
    void watch_catalog(std::chrono::milliseconds interval);
    bool pause_watch(std::chrono::milliseconds time);
    void call(const std::function<void()>& told);
    // A bucket that is served, and its budget as all processes use it.
    struct Remote {
        std::shared_ptr<RemotePool> pool;
        std::shared_ptr<storage::SavedBudget> budget;
    };
    Remote make_remote(const storage::KnownPool& pool);
    static void end_authorization(const Remote& remote);
    static void exchange(const Remote& remote);
    void exchange_budgets();

    const conf::OriginSettings origin_;
    std::unique_ptr<storage::Catalog> catalog_;
    std::unique_ptr<storage::Shelf> shelf_;

    mutable std::mutex pools_mutex_;
    std::map<std::string, storage::PoolId> ids_;
    std::map<storage::PoolId, Remote> remotes_;
    std::set<storage::PoolId> private_;

    std::atomic<std::uint64_t> adopted_ = 0;
    std::atomic<std::uint64_t> not_adopted_ = 0;
    std::atomic<std::uint64_t> inconsistencies_ = 0;
    std::mutex adopt_mutex_;
    std::vector<storage::ObjectRecord> to_adopt_;
    bool adopting_ = false;

    // Last, so that they end first: their work uses all of the above.
    std::unique_ptr<loop::WorkerPool> catalog_workers_;
    std::unique_ptr<loop::WorkerPool> shelf_workers_;
    std::thread shelf_scan_;
    std::atomic<std::uint64_t> catalog_state_ = 1;
    std::mutex watch_mutex_;
    std::condition_variable watch_end_;
    bool ending_ = false;
    std::mutex told_mutex_;  // held while one of them is called
    std::function<void()> changed_;
    std::function<void()> evicted_;
    std::thread catalog_watch_;
};

}  // namespace tidepool::serve
