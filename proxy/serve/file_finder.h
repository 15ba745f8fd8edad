// Finds where a key's object is and what it is, once however many ask.
#pragma once

#include "conf/settings.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/cache_policy.h"
#include "proxy/serve/file_cache.h"
#include "proxy/serve/fill.h"
#include "proxy/serve/pool_disk.h"
#include "proxy/serve/private_access.h"
#include "proxy/serve/stores.h"
#include "storage/digest_cache.h"
#include "storage/known_pool.h"
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
    PrivateRules access{};

    // Whether content of this type is served at all.
    bool allows(std::string_view type) const;
};
// What a configuration makes of them.
std::shared_ptr<const ServeRules> serve_rules(const conf::Settings& settings);

// Shared by all loops; must outlive them. Every look at a disk is made by the workers of the pool
// concerned, so a disk that hangs holds up only what must be read from it.
class FileFinder {
  public:
    // `stores` outlives it.
    FileFinder(const conf::Settings& settings, std::shared_ptr<const ServeRules> rules,
               Stores& stores);

    // From now on the active local ones of these are looked at, as well as the buckets that
    // `stores` has by now; what is cached is forgotten. Any thread, one at a time. A folder that
    // is no longer a pool's keeps its threads until the server ends, for answers may still read
    // from it.
    void use_pools(const std::vector<storage::KnownPool>& pools);

    struct Found {
        std::shared_ptr<const CachedFile> file;  // null: absent, or `error`
        std::optional<Error> error;              // it could not be found out
        bool is_private = false;  // of an absent one: the image that it would be of is
        bool is_there() const { return file && !file->is_deleted(); }
    };
    // Asks the catalog, then looks on the local pools, in their order, and notes the result in the
    // cache. Callers that ask for a key while it is being looked for share the look. Of what is in
    // a bucket the bytes are only given where they are on the shelf.
    loop::Task<Found> find(loop::Loop& loop, std::string key);
    // The same for who knows that it may have been stored just now: no look that began before this
    // call says that it is absent.
    loop::Task<Found> find_anew(loop::Loop& loop, std::string key);

    // A bucket has said that it does not have this object: where it is by now, or that this could
    // not be found out. Nothing: the catalog still says that it is there.
    loop::Task<std::optional<Found>> find_moved(loop::Loop& loop, const RemoteObject& object);

    // Its pool does not give this object: a copy that another pool has, as a mirror or since it
    // moved away from there just now. No file: there is none, or none that is proved to be the
    // same.
    loop::Task<Found> find_copy(loop::Loop& loop, const RemoteObject& object);

    // A bucket has said that it has no object of this key, whatever the catalog says: for
    // cache.freshness it is not asked again.
    void missing_in_bucket(const std::string& key, std::uint64_t now_ms);
    // An object of this key has just been stored, moved or removed: whatever was known of it is
    // looked for anew.
    void changed(const std::string& key);

    // It has become another who may see this image: the same of all its keys. Blocks for as long as
    // it takes to look through the cache; not on a loop.
    void image_changed(const storage::Uuid& image);
    // Whether a folder of which all is private has one of these. An error: it cannot be said.
    loop::Task<Result<bool>> is_in_private_folder(loop::Loop& loop, std::vector<std::string> keys);

    // A fetch has brought an object. Any thread.
    void filled(const RemoteObject& object, FillEnd end);

    FileCache& cache() { return cache_; }
    // Takes new rules; what is cached was described by the old ones and is forgotten.
    void change_rules(std::shared_ptr<const ServeRules> rules);
    std::shared_ptr<const ServeRules> rules() const;

    // Where a local pool is, and who makes its blocking calls.
    struct Site {
        Site(const conf::PoolSettings& its_settings, PoolDisk& its_disk)
            : settings(its_settings), pool(its_disk.pool()), workers(its_disk.workers()) {}
        const conf::PoolSettings settings;
        const storage::LocalPool& pool;
        loop::WorkerPool& workers;
    };
    // Those that are looked at, in their order. They live as long as the finder.
    using Sites = std::vector<Site*>;
    std::shared_ptr<const Sites> sites() const;
    // Whether the pool is one of them.
    bool is_looked_at(storage::PoolId pool) const;
    Stores& stores() const { return stores_; }

    std::size_t remembered_digests() const { return digests_.size(); }
    std::uint64_t refused_types() const { return refused_types_.load(std::memory_order_relaxed); }
    std::uint64_t mismatched_names() const {
        return mismatched_names_.load(std::memory_order_relaxed);
    }

  private:
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

    // What the catalog said of an image, and when.
    struct CatalogWord {
        std::uint64_t state = 0;  // Stores::catalog_state() from before it was asked
        bool is_private = false;  // the image is, for itself or as its home is
    };

    loop::Task<Found> look(loop::Loop& loop, const std::string& key, const Known& known);
    loop::Task<Found> look_by_catalog(loop::Loop& loop, const std::string& key, const Known& known);
    Sites asking_order(const Known& known, const std::optional<storage::ObjectRecord>& row) const;
    loop::Task<Found> look_on_disks(loop::Loop& loop, const std::string& key, const Known& known,
                                    const std::optional<storage::ObjectRecord>& row,
                                    const CatalogWord& word);
    loop::Task<Found> look_on_shelf(loop::Loop& loop, const std::string& key, const Known& known,
                                    const storage::ObjectRecord& row,
                                    std::shared_ptr<RemotePool> pool, const CatalogWord& word);
    void forget_flights();
    CatalogWord word_of(const storage::Location& location, std::uint64_t catalog_state) const;
    static void set_private(const ServeRules& rules, std::string_view key, bool is_private,
                            CachedFile& file);
    Known deleted_file(std::string_view key, const CatalogWord& word) const;
    Known with_word(const std::string& key, const Known& known, bool is_private,
                    std::uint64_t catalog_state) const;
    bool is_best(const CachedFile& file) const;
    bool is_missing(const std::string& key, std::uint64_t now_ms);
    void learn_digest(const RemoteObject& object);
    loop::Task<Result<Content>> load_shelved(loop::Loop& loop, const storage::ShelfName& name,
                                             const RemoteObject& object);
    Result<Content> read_shelved(const storage::ShelfName& name, const RemoteObject& object);
    Result<void> read_whole(const storage::OpenFile& file, bool to_memory, Content& content);
    void adopt(const std::string& key, const Site& site, const CachedFile& file,
               const conf::Sha256Digest& sha256, const std::optional<storage::ObjectRecord>& row);
    bool is_allowed(const ServeRules& rules, std::string_view key, std::string_view type);
    std::shared_ptr<CachedFile> describe_remote(const ServeRules& rules, const std::string& key,
                                                const storage::ObjectRecord& row,
                                                std::shared_ptr<RemotePool> pool);
    loop::Task<Result<Content>> load(loop::Loop& loop, Site& site, const std::string& key,
                                     const CachedFile* known);
    Result<Content> read_content(std::shared_ptr<const storage::OpenFile> file, bool to_memory);
    Found describe_content(Site& site, const std::string& key, Content content,
                           const std::optional<storage::ObjectRecord>& row,
                           const CatalogWord& word);
    void land(const std::string& key, const std::shared_ptr<Flight>& flight, const Found& found);

    Stores& stores_;
    std::string key_prefix_;
    conf::WorkerSettings workers_;
    mutable std::mutex sites_mutex_;
    // What a call may still touch that nobody waits for any more, before the disks, which end with
    // the last of those.
    Digests digests_;
    std::vector<std::unique_ptr<Site>> all_sites_;
    std::vector<std::unique_ptr<PoolDisk>> disks_;
    std::shared_ptr<const Sites> sites_;
    FileCache cache_;
    std::uint64_t patience_ms_;  // with a file that is being written
    std::atomic<std::uint64_t> refused_types_ = 0;
    std::atomic<std::uint64_t> mismatched_names_ = 0;

    mutable std::mutex rules_mutex_;
    std::shared_ptr<const ServeRules> rules_;

    // What buckets said they do not have, and until when that is believed.
    std::mutex missing_mutex_;
    std::unordered_map<std::string, std::uint64_t> missing_;

    std::mutex flights_mutex_;
    std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace tidepool::serve
