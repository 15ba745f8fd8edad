// Finds a key's file on the local pools, once however many ask.
#pragma once

#include "conf/settings.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/cache_policy.h"
#include "proxy/serve/file_cache.h"
#include "storage/digest_cache.h"
#include "storage/local_pool.h"
#include "transform/content_type.h"

#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidepool::serve {

// What decides how a file is described; replaced as a whole by a reload.
struct ServeRules {
    CachePolicy policy;
    std::vector<std::string> allowed_types;
};

// Shared by all loops; must outlive them. Every look at a disk is made by the workers of the pool
// concerned, so a disk that hangs holds up only what must be read from it.
class FileFinder {
  public:
    FileFinder(const conf::Settings& settings, std::shared_ptr<const ServeRules> rules);

    struct Found {
        std::shared_ptr<const CachedFile> file;  // null: absent, or `error`
        std::optional<Error> error;              // it could not be found out
    };
    // Looks on the pools, in their order, and notes the result in the cache. Callers that ask for a
    // key while it is being looked for share the look.
    loop::Task<Found> find(loop::Loop& loop, std::string key);

    FileCache& cache() { return cache_; }
    // Takes new rules; what is cached was described by the old ones and is forgotten.
    void change_rules(std::shared_ptr<const ServeRules> rules);

    struct PoolUse {
        std::size_t index;  // for workers_of
        const storage::LocalPool& pool;
        const loop::WorkerPool& workers;
    };
    std::vector<PoolUse> pools() const;
    // Workers that read parts of a file that stands in this pool.
    loop::WorkerPool& workers_of(std::size_t pool) { return *pools_[pool].workers; }

    std::size_t remembered_digests() const { return digests_.size(); }
    std::uint64_t refused_types() const { return refused_types_.load(std::memory_order_relaxed); }
    std::uint64_t mismatched_names() const {
        return mismatched_names_.load(std::memory_order_relaxed);
    }

  private:
    struct Pool {
        storage::LocalPool store;
        std::unique_ptr<loop::WorkerPool> workers;
    };
    // A look that is going on, and who waits for it.
    struct Flight;
    class Join;
    // What a worker found a file to be.
    struct Content {
        std::shared_ptr<const storage::OpenFile> file;
        conf::Sha256Digest sha256{};
        transform::ContentLook look{};
        std::string body{};    // only where it is held in memory
        bool settled = false;  // certainly nobody is writing it
    };
    using Digests = storage::DigestCache<transform::ContentLook>;

    loop::Task<Found> look(loop::Loop& loop, const std::string& key,
                           const std::shared_ptr<const CachedFile>& known);
    loop::Task<Result<Content>> load(loop::Loop& loop, Pool& pool, const std::string& key,
                                     const CachedFile* known);
    Result<Content> read_content(std::shared_ptr<const storage::OpenFile> file);
    Found describe_content(std::size_t pool, const std::string& key, Content content);
    std::shared_ptr<const ServeRules> rules() const;
    void land(const std::string& key, const std::shared_ptr<Flight>& flight, const Found& found);

    std::vector<Pool> pools_;
    FileCache cache_;
    Digests digests_;
    std::uint64_t patience_ms_;  // with a file that is being written
    std::atomic<std::uint64_t> refused_types_ = 0;
    std::atomic<std::uint64_t> mismatched_names_ = 0;

    mutable std::mutex rules_mutex_;
    std::shared_ptr<const ServeRules> rules_;

    std::mutex flights_mutex_;
    std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace tidepool::serve
