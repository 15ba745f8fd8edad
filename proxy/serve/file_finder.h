// Finds where a key's object is and what it is, once however many ask.
#pragma once

#include "conf/settings.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/cache_policy.h"
#include "proxy/serve/file_cache.h"
#include "proxy/serve/fill.h"
#include "proxy/serve/stores.h"
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
    // `stores` outlives it.
    FileFinder(const conf::Settings& settings, std::shared_ptr<const ServeRules> rules,
               Stores& stores);

    struct Found {
        std::shared_ptr<const CachedFile> file;  // null: absent, or `error`
        std::optional<Error> error;              // it could not be found out
    };
    // Asks the catalog, then looks on the local pools, in their order, and notes the result in the
    // cache. Callers that ask for a key while it is being looked for share the look. Of what is in
    // a bucket the bytes are only given where they are on the shelf.
    loop::Task<Found> find(loop::Loop& loop, std::string key);

    // A fetch has brought an object. Any thread.
    void filled(const RemoteObject& object, FillEnd end);

    FileCache& cache() { return cache_; }
    // Takes new rules; what is cached was described by the old ones and is forgotten.
    void change_rules(std::shared_ptr<const ServeRules> rules);

    struct PoolUse {
        std::size_t index;  // for workers_of
        const storage::LocalPool& pool;
        const loop::WorkerPool& workers;
    };
    std::vector<PoolUse> pools() const;
    // Workers that make this pool's blocking calls.
    loop::WorkerPool& workers_of(std::size_t pool) { return *pools_[pool].workers; }
    Stores& stores() const { return stores_; }

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

    using Known = std::shared_ptr<const CachedFile>;

    loop::Task<Found> look(loop::Loop& loop, const std::string& key, const Known& known);
    loop::Task<Found> look_on_disks(loop::Loop& loop, const std::string& key, const Known& known,
                                    const std::optional<storage::ObjectRecord>& row);
    loop::Task<Found> look_on_shelf(loop::Loop& loop, const std::string& key, const Known& known,
                                    const storage::ObjectRecord& row, RemotePool& pool,
                                    std::uint64_t catalog_state);
    static storage::ShelfName shelf_name(const RemoteObject& object);
    bool is_best(const CachedFile& file) const;
    void adopt_digest(const CachedFile& file);
    loop::Task<Result<Content>> load_shelved(loop::Loop& loop, const storage::ShelfName& name,
                                             const RemoteObject& object);
    Result<Content> read_shelved(const storage::ShelfName& name, const RemoteObject& object);
    Result<void> read_whole(const storage::OpenFile& file, bool to_memory, Content& content);
    void adopt(const std::string& key, std::size_t pool, const CachedFile& file,
               const conf::Sha256Digest& sha256, const std::optional<storage::ObjectRecord>& row);
    bool is_allowed(const ServeRules& rules, std::string_view key, std::string_view type);
    std::shared_ptr<CachedFile> describe_remote(const ServeRules& rules, const std::string& key,
                                                const storage::ObjectRecord& row, RemotePool& pool);
    loop::Task<Result<Content>> load(loop::Loop& loop, Pool& pool, const std::string& key,
                                     const CachedFile* known);
    Result<Content> read_content(std::shared_ptr<const storage::OpenFile> file);
    Found describe_content(std::size_t pool, const std::string& key, Content content,
                           const std::optional<storage::ObjectRecord>& row);
    std::shared_ptr<const ServeRules> rules() const;
    void land(const std::string& key, const std::shared_ptr<Flight>& flight, const Found& found);

    Stores& stores_;
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
