#include "proxy/serve/file_finder.h"

#include "conf/log.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <span>
#include <tuple>
#include <utility>

namespace tidepool::serve {

namespace {

// A file whose last change is younger than this, and of which the kernel does not say that nobody
// writes it, is looked at a second time before it is believed to be whole.
constexpr std::int64_t kSettleNs = 500'000'000;
constexpr std::uint64_t kSettleMs = 500;
constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kMostMissing = 10'000;

std::int64_t wall_clock_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The same object with its digest, where that was not known.
std::shared_ptr<const RemoteObject> with_digest(const std::shared_ptr<const RemoteObject>& object,
                                                const std::optional<conf::Sha256Digest>& sha256) {
    if (object->sha256 || !sha256) return object;
    auto learnt = std::make_shared<RemoteObject>(*object);
    learnt->sha256 = sha256;
    return learnt;
}

// What the row says now of an object that was known before, with what had been learnt of it.
std::shared_ptr<const RemoteObject> continued(const RemoteObject& row, const RemoteObject& known) {
    auto object = std::make_shared<RemoteObject>(row);
    if (!object->sha256) object->sha256 = known.sha256;
    object->seen = known.seen;
    return object;
}

// The order in which pools are asked: hot before warm before cold, then by priority, then as
// written.
std::vector<conf::PoolSettings> in_asking_order(const std::vector<storage::KnownPool>& pools) {
    const auto rank = [](const conf::PoolSettings& pool) {
        return std::tuple(pool.storage_tier, pool.priority);
    };
    std::vector<conf::PoolSettings> sorted;
    for (const storage::KnownPool& pool : pools) {
        const conf::PoolSettings& settings = pool.settings;
        if (!settings.is_active || settings.storage_type == conf::PoolSettings::Type::s3) continue;
        sorted.insert(std::ranges::upper_bound(sorted, rank(settings), {}, rank), settings);
    }
    return sorted;
}

// Of a file on a disk that is known by its content; of an object in a bucket the reader proves it.
bool is_content_of(const storage::ObjectRecord& row, const FileFinder::Found& found) {
    if (!found.file || found.file->remote) return found.file != nullptr;
    return found.file->identity.size == row.size && row.sha256 &&
           found.file->etag() == etag_of(*row.sha256);
}

}  // namespace

bool ServeRules::allows(std::string_view type) const {
    return std::ranges::any_of(allowed_types, [type](const std::string& pattern) {
        return transform::type_matches(type, pattern);
    });
}

std::shared_ptr<const ServeRules> serve_rules(const conf::Settings& settings) {
    return std::make_shared<const ServeRules>(
        ServeRules{CachePolicy(settings.cache_control, CacheTags(settings.edge)),
                   settings.types.allowed, PrivateRules(settings.private_images)});
}

struct FileFinder::Flight {
    struct Waiter {
        loop::Loop& loop;
        std::coroutine_handle<> handle;
    };
    std::mutex mutex;
    bool landed = false;
    Found found;
    std::vector<Waiter> waiters;
};

// Waits on the caller's own loop for a look that another request began.
class FileFinder::Join {
  public:
    Join(loop::Loop& loop, std::shared_ptr<Flight> flight)
        : loop_(loop), flight_(std::move(flight)) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        const std::lock_guard lock(flight_->mutex);
        if (flight_->landed) return false;
        flight_->waiters.push_back({loop_, waiter});
        return true;
    }
    Found await_resume() const {
        const std::lock_guard lock(flight_->mutex);
        return flight_->found;
    }

  private:
    loop::Loop& loop_;
    std::shared_ptr<Flight> flight_;
};

FileFinder::FileFinder(const conf::Settings& settings, std::shared_ptr<const ServeRules> rules,
                       Stores& stores)
    : stores_(stores),
      key_prefix_(settings.server.url_prefix.substr(1)),
      workers_(settings.workers),
      digests_(settings.cache.digests),
      sites_(std::make_shared<const Sites>()),
      cache_(settings.cache),
      patience_ms_(static_cast<std::uint64_t>(settings.cache.freshness.count())),
      rules_(std::move(rules)) {}

void FileFinder::use_pools(const std::vector<storage::KnownPool>& pools) {
    auto sites = std::make_shared<Sites>();
    for (const conf::PoolSettings& pool : in_asking_order(pools)) {
        auto site = std::ranges::find(all_sites_, pool, [](auto& each) { return each->settings; });
        if (site == all_sites_.end()) {
            auto disk =
                std::ranges::find_if(disks_, [&](const auto& each) { return each->is_of(pool); });
            if (disk == disks_.end()) {
                disks_.push_back(std::make_unique<PoolDisk>(pool, key_prefix_, workers_));
                disk = disks_.end() - 1;
            }
            all_sites_.push_back(std::make_unique<Site>(pool, **disk));
            site = all_sites_.end() - 1;
        }
        sites->push_back(site->get());
    }
    {
        const std::lock_guard lock(sites_mutex_);
        sites_ = std::move(sites);
    }
    forget_flights();
    cache_.clear();
}

std::shared_ptr<const FileFinder::Sites> FileFinder::sites() const {
    const std::lock_guard lock(sites_mutex_);
    return sites_;
}

std::shared_ptr<const ServeRules> FileFinder::rules() const {
    const std::lock_guard lock(rules_mutex_);
    return rules_;
}

// Who asks from now on does not join who looked by what was before.
void FileFinder::forget_flights() {
    const std::lock_guard lock(flights_mutex_);
    flights_.clear();
}

void FileFinder::change_rules(std::shared_ptr<const ServeRules> rules) {
    {
        const std::lock_guard lock(rules_mutex_);
        rules_ = std::move(rules);
    }
    forget_flights();
    cache_.clear();
}

loop::Task<FileFinder::Found> FileFinder::find(loop::Loop& loop, std::string key) {
    std::shared_ptr<Flight> flight;
    bool first = false;
    {
        const std::lock_guard lock(flights_mutex_);
        auto& slot = flights_[key];
        first = slot == nullptr;
        if (first) slot = std::make_shared<Flight>();
        flight = slot;
    }
    if (!first) {
        Found found = co_await Join(loop, flight);
        co_return found;
    }
    const std::uint64_t generation = cache_.generation(key);
    const std::uint64_t looked_ms = loop.now_ms();
    const std::shared_ptr<const CachedFile> known = cache_.find(key, looked_ms).file;
    Found found = co_await look(loop, key, known);
    if (found.error) {
        cache_.give_up_check(key);
    } else {
        cache_.put(key, found.file, looked_ms, generation);
    }
    land(key, flight, found);
    co_return found;
}

loop::Task<FileFinder::Found> FileFinder::find_anew(loop::Loop& loop, std::string key) {
    Found found = co_await find(loop, key);
    // It may have joined one.
    if (!found.file && !found.error) found = co_await find(loop, std::move(key));
    co_return found;
}

loop::Task<std::optional<FileFinder::Found>> FileFinder::find_moved(loop::Loop& loop,
                                                                    const RemoteObject& object) {
    changed(object.key);
    Found found = co_await find(loop, object.key);
    const auto is_same = [&object](const Found& seen) {
        return seen.file && seen.file->remote && seen.file->remote->same_content(object);
    };
    // It may have joined a look that began before.
    if (!found.error && (!found.file || is_same(found))) {
        changed(object.key);
        found = co_await find(loop, object.key);
    }
    if (is_same(found)) co_return std::nullopt;
    co_return std::move(found);
}

loop::Task<FileFinder::Found> FileFinder::find_copy(loop::Loop& loop, const RemoteObject& object) {
    storage::Catalog* const catalog = stores_.catalog();
    if (catalog == nullptr) co_return Found{};
    struct Known {
        storage::Location location;
        std::vector<storage::BackupRecord> copies;
    };
    const auto asked = co_await loop::offload(
        loop, stores_.catalog_workers(), loop::Lane::quick, [&]() -> Result<Known> {
            auto location = catalog->locate(object.key);
            if (!location) return std::unexpected(std::move(location.error()));
            auto copies = catalog->backups_of(object.key);
            if (!copies) return std::unexpected(std::move(copies.error()));
            return Known{std::move(*location), std::move(*copies)};
        });
    if (!asked || !asked->location.row || asked->location.is_deleted) co_return Found{};
    const std::optional<storage::ObjectRecord>& home = asked->location.row;
    // A copy has no copy of its own.
    if (stores_.id_of(object.pool->settings.name) != home->pool) co_return Found{};
    const CatalogWord word = word_of(asked->location, stores_.catalog_state());
    for (const storage::BackupRecord& copy : asked->copies) {
        storage::ObjectRecord row = *home;
        const bool is_same = row.sha256 && copy.sha256 == row.sha256 && copy.size == row.size;
        if (!copy.is_mirror() || !is_same) continue;
        Found found;
        if (auto pool = stores_.remote(copy.pool)) {
            row.pool = copy.pool;
            row.store_etag = copy.store_etag;
            row.version_id = copy.version_id;
            found = co_await look_on_shelf(loop, object.key, nullptr, row, std::move(pool), word);
        } else {
            found = co_await look_on_disks(loop, object.key, nullptr, row, word);
        }
        if (is_content_of(row, found)) {
            object.pool->mirrored.fetch_add(1, std::memory_order_relaxed);
            co_return found;
        }
    }
    // Until the grace time of a move has passed it is where it was.
    Found left = co_await look_on_disks(loop, object.key, nullptr, home, word);
    if (!is_content_of(*home, left)) co_return Found{};
    object.pool->mirrored.fetch_add(1, std::memory_order_relaxed);
    co_return left;
}

void FileFinder::land(const std::string& key, const std::shared_ptr<Flight>& flight,
                      const Found& found) {
    {
        const std::lock_guard lock(flights_mutex_);
        const auto known = flights_.find(key);
        if (known != flights_.end() && known->second == flight) flights_.erase(known);
    }
    std::vector<Flight::Waiter> waiters;
    {
        const std::lock_guard lock(flight->mutex);
        flight->landed = true;
        flight->found = found;
        waiters.swap(flight->waiters);
    }
    for (const Flight::Waiter& waiter : waiters)
        waiter.loop.post(waiter.handle);
}

// What was on a disk a moment ago is looked for there first: it is asked for again every few
// seconds as long as it is hot, and while the catalog is as it was it could only say the same.
loop::Task<FileFinder::Found> FileFinder::look(loop::Loop& loop, const std::string& key,
                                               const Known& known) {
    const std::uint64_t catalog_state = stores_.catalog_state();
    const bool is_current = known && known->catalog_state == catalog_state;
    // Of what is private it is not known why, which may be its folder.
    if (is_current && !known->remote && !known->is_deleted() && !known->is_private) {
        Found found = co_await look_on_disks(loop, key, known, std::nullopt, {catalog_state});
        if (found.file || found.error) co_return found;
    }
    // Of a bucket's object nothing can have changed but where its bytes are.
    if (is_current && known->remote && is_best(*known)) co_return Found{known, std::nullopt};
    Found found = co_await look_by_catalog(loop, key, known);
    co_return found;
}

// Asks the catalog, then the pool that it names, and again where there is nothing: it may have
// moved between the two questions.
loop::Task<FileFinder::Found> FileFinder::look_by_catalog(loop::Loop& loop, const std::string& key,
                                                          const Known& known) {
    storage::Catalog* const catalog = stores_.catalog();
    if (catalog == nullptr) {
        Found found =
            co_await look_on_disks(loop, key, known, std::nullopt, {stores_.catalog_state()});
        co_return found;
    }
    std::optional<storage::PoolId> looked_in;
    while (true) {
        const std::uint64_t catalog_state = stores_.catalog_state();
        auto asked = co_await loop::offload(loop, stores_.catalog_workers(), loop::Lane::quick,
                                            [&] { return catalog->locate(key); });
        if (!asked) {
            conf::log_warn("catalog not asked key={} reason=\"{}\"", key, asked.error().text);
            // What was deleted does not come back for want of somebody who knows that.
            if (known && known->is_deleted()) co_return Found{known, std::nullopt};
            // Where some images are private, this one may be.
            const bool may_be_private =
                rules()->access.is_in_use() && storage::parse_image_key(key).image.has_value();
            if (!known && may_be_private) co_return Found{nullptr, std::move(asked.error())};
            const CatalogWord word{catalog_state, known && known->is_private};
            // What only the catalog knows cannot be called absent; what is on a disk can be served.
            Found found = co_await look_on_disks(loop, key, known, std::nullopt, word);
            if (!found.file && !found.error) found.error = std::move(asked.error());
            co_return found;
        }
        const std::optional<storage::ObjectRecord>& row = asked->row;
        const CatalogWord word = word_of(*asked, catalog_state);
        if (asked->is_deleted) co_return Found{deleted_file(key, word), std::nullopt};
        if (row) {
            if (auto pool = stores_.remote(row->pool)) {
                if (is_missing(key, loop.now_ms()))
                    co_return Found{nullptr, std::nullopt, word.is_private};
                Found found = co_await look_on_shelf(loop, key, known, *row, std::move(pool), word);
                co_return found;
            }
        }
        Found found = co_await look_on_disks(loop, key, known, row, word);
        found.is_private = word.is_private;
        if (!row || found.file || found.error) co_return found;
        // It is somewhere, but not where we may look now: nobody may be told that it is not.
        if (!is_looked_at(row->pool)) {
            co_return Found{nullptr, Error{ErrorKind::misconfigured,
                                           "it is in a pool that is not active or not in the "
                                           "configuration"}};
        }
        if (looked_in == row->pool) co_return found;  // twice, with nothing changed in between
        looked_in = row->pool;
    }
}

FileFinder::CatalogWord FileFinder::word_of(const storage::Location& location,
                                            std::uint64_t catalog_state) const {
    const bool is_private = location.is_private ||
                            (location.home && stores_.is_private(*location.home)) ||
                            (location.row && stores_.is_private(location.row->pool));
    return {catalog_state, is_private};
}

// Before it is described.
void FileFinder::set_private(const ServeRules& rules, std::string_view key, bool is_private,
                             CachedFile& file) {
    file.is_private = is_private || rules.access.covers(key);
    // A rule of the edge knows paths, not what is private by itself or by its pool.
    const bool is_checked = rules.access.edge_checks() && rules.access.covers(key);
    file.is_unshared = file.is_private && !is_checked;
}

// What is known of a key whose image was deleted, which is told to nobody who might not see it.
FileFinder::Known FileFinder::deleted_file(std::string_view key, const CatalogWord& word) const {
    auto file = std::make_shared<CachedFile>();
    file->held = CachedFile::Held::deleted;
    file->catalog_state = word.state;
    set_private(*rules(), key, word.is_private, *file);
    return file;
}

// The same, as the catalog says now.
FileFinder::Known FileFinder::with_word(const std::string& key, const Known& known, bool is_private,
                                        std::uint64_t catalog_state) const {
    const std::shared_ptr<const ServeRules> rules = this->rules();
    const bool is_as_private = known->is_private == (is_private || rules->access.covers(key));
    if (known->catalog_state == catalog_state && is_as_private) return known;
    auto again = std::make_shared<CachedFile>(*known);
    again->catalog_state = catalog_state;
    if (is_as_private) return again;
    set_private(*rules, key, is_private, *again);
    describe(*again, key, known->etag(), rules->policy, wall_clock_ns() / 1'000'000'000);
    return again;
}

bool FileFinder::is_looked_at(storage::PoolId pool) const {
    const std::shared_ptr<const Sites> sites = this->sites();
    return std::ranges::any_of(
        *sites, [&](const Site* site) { return stores_.id_of(site->pool.name()) == pool; });
}

void FileFinder::missing_in_bucket(const std::string& key, std::uint64_t now_ms) {
    {
        const std::lock_guard lock(missing_mutex_);
        if (missing_.size() >= kMostMissing) missing_.clear();  // then they are asked once more
        missing_[key] = now_ms + patience_ms_;
    }
    cache_.put(key, nullptr, now_ms, cache_.generation(key));
}

bool FileFinder::is_missing(const std::string& key, std::uint64_t now_ms) {
    const std::lock_guard lock(missing_mutex_);
    const auto found = missing_.find(key);
    if (found == missing_.end()) return false;
    if (now_ms < found->second) return true;
    missing_.erase(found);
    return false;
}

void FileFinder::changed(const std::string& key) {
    {
        const std::lock_guard lock(missing_mutex_);
        missing_.erase(key);
    }
    {
        // Who asks from now on does not join who looked at what was before.
        const std::lock_guard lock(flights_mutex_);
        flights_.erase(key);
    }
    cache_.forget(key);
}

void FileFinder::image_changed(const storage::Uuid& image) {
    {
        const std::lock_guard lock(flights_mutex_);
        std::erase_if(flights_, [&image](const auto& each) {
            return storage::parse_image_key(each.first).image == image;
        });
    }
    cache_.forget_image(image);
}

loop::Task<Result<bool>> FileFinder::is_in_private_folder(loop::Loop& loop,
                                                          std::vector<std::string> keys) {
    const std::shared_ptr<const Sites> sites = this->sites();
    for (Site* const site : *sites) {
        if (!site->settings.is_private()) continue;
        for (const std::string& key : keys) {
            const auto file =
                co_await loop::offload_within(loop, site->workers, loop::Lane::quick,
                                              [site, key] { return site->pool.open(key); });
            if (file) co_return true;
            const ErrorKind kind = file.error().kind;
            if (kind != ErrorKind::not_found && kind != ErrorKind::denied)
                co_return std::unexpected(file.error());
        }
    }
    co_return false;
}

// In which order pools are asked for what is known to be, or to have been, in one of them: that one
// first, as those before it may be ill.
FileFinder::Sites FileFinder::asking_order(const Known& known,
                                           const std::optional<storage::ObjectRecord>& row) const {
    Sites order = *sites();
    const auto is_home = [&](const Site* site) {
        if (row) return stores_.id_of(site->pool.name()) == row->pool;
        return known && known->pool == &site->pool;
    };
    const auto home = std::ranges::find_if(order, is_home);
    if (home != order.end()) std::rotate(order.begin(), home, home + 1);
    return order;
}

// Asks one pool after the other. A pool that fails does not hide what another one has, but without
// a find its failure is the answer: nobody may be told "absent" because a disk is ill.
loop::Task<FileFinder::Found> FileFinder::look_on_disks(
    loop::Loop& loop, const std::string& key, const Known& known,
    const std::optional<storage::ObjectRecord>& row, const CatalogWord& word) {
    std::optional<Error> failure;
    const Sites order = asking_order(known, row);
    for (Site* const site : order) {
        const bool known_here = known && known->pool == &site->pool;
        const bool is_private = word.is_private || site->settings.is_private();
        Result<Content> content =
            co_await load(loop, *site, key, known_here ? known.get() : nullptr);
        if (content) {
            if (!content->file)
                co_return Found{with_word(key, known, is_private, word.state), std::nullopt};
            co_return describe_content(*site, key, std::move(*content), row, word);
        }
        if (content.error().kind == ErrorKind::not_found) continue;
        if (content.error().kind == ErrorKind::denied) {
            conf::log_warn("not served key={} reason=\"{}\"", key, content.error().text);
            continue;
        }
        // While a new version is being written the old one is served, as long as it is whole; while
        // the disk says nothing, what is in memory.
        const ErrorKind kind = content.error().kind;
        const bool is_had = known_here && known->in_memory();
        const bool old_is_whole = is_had || (known_here && known->file->unchanged());
        if ((kind == ErrorKind::busy && old_is_whole) || (kind == ErrorKind::timed_out && is_had))
            co_return Found{with_word(key, known, is_private, known->catalog_state), std::nullopt};
        failure = std::move(content.error());
    }
    if (failure) conf::log_warn("lookup failed key={} reason=\"{}\"", key, failure->text);
    co_return Found{nullptr, std::move(failure)};
}

// An object in a bucket: its description, and its bytes where they are on the shelf and good.
loop::Task<FileFinder::Found> FileFinder::look_on_shelf(loop::Loop& loop, const std::string& key,
                                                        const Known& known,
                                                        const storage::ObjectRecord& row,
                                                        std::shared_ptr<RemotePool> pool,
                                                        const CatalogWord& word) {
    const std::shared_ptr<const ServeRules> rules = this->rules();
    std::shared_ptr<CachedFile> file = describe_remote(*rules, key, row, std::move(pool));
    if (!file) co_return Found{nullptr, std::nullopt, word.is_private};
    file->catalog_state = word.state;
    set_private(*rules, key, word.is_private, *file);
    const std::int64_t now_s = wall_clock_ns() / 1'000'000'000;
    const RemoteObject& object = *file->remote;
    const bool is_shelved = stores_.shelf() != nullptr && !file->is_redirected;
    // What is known stays as it is where the row still says the same of it.
    if (known && known->remote && known->remote->same_content(object) &&
        known->content_type == file->content_type && known->location == file->location) {
        if (is_best(*known))
            co_return Found{with_word(key, known, word.is_private, word.state), std::nullopt};
        file->remote = continued(object, *known->remote);
    }
    if (is_shelved) {
        Result<Content> content =
            co_await load_shelved(loop, shelf_name(*file->remote), *file->remote);
        if (content) {
            file->held = cache_.holds_in_memory(row.size) ? CachedFile::Held::in_memory
                                                          : CachedFile::Held::in_file;
            if (file->in_memory()) {
                file->body = std::move(content->body);
            } else {
                file->file = std::move(content->file);
                file->readers = stores_.shelf_workers();
            }
        }
    }
    describe(*file, key, etag_of(*file->remote), rules->policy, now_s);
    co_return Found{std::move(file), std::nullopt};
}

// The bytes are where they are served from best, and as they were found. Somebody may have changed
// or cut a file on the shelf: then it is looked at anew, and proved or dropped.
bool FileFinder::is_best(const CachedFile& file) const {
    if (file.held == CachedFile::Held::in_file && !file.file->unchanged()) return false;
    if (file.in_memory() || file.is_redirected || stores_.shelf() == nullptr) return true;
    return stores_.shelf()->holds(shelf_name(*file.remote)) ==
           (file.held == CachedFile::Held::in_file);
}

loop::Task<Result<FileFinder::Content>> FileFinder::load_shelved(loop::Loop& loop,
                                                                 const storage::ShelfName& name,
                                                                 const RemoteObject& object) {
    auto content = co_await loop::offload(loop, *stores_.shelf_workers(), loop::Lane::bulk,
                                          [&] { return read_shelved(name, object); });
    if (!content && content.error().kind == ErrorKind::corrupt) {
        object.pool->corrupt.fetch_add(1, std::memory_order_relaxed);
        conf::log_error("taken off the shelf key={} reason=\"{}\"", object.key,
                        content.error().text);
    }
    co_return content;
}

// On a worker. The shelf knows that it is what was put there; the catalog may have learnt since
// what that should have been.
Result<FileFinder::Content> FileFinder::read_shelved(const storage::ShelfName& name,
                                                     const RemoteObject& object) {
    auto file = stores_.shelf()->find(name);
    if (!file) return std::unexpected(std::move(file.error()));
    const auto put_there = storage::Shelf::digest_of(**file, name);
    if (!put_there) return std::unexpected(put_there.error());
    Content content{.file = *file, .sha256 = *put_there};
    if (cache_.holds_in_memory(object.size)) {
        content.body.resize(object.size);
        if (auto read = (*file)->read(0, content.body); !read)
            return std::unexpected(std::move(read.error()));
        content.sha256 = conf::sha256(content.body);
    }
    const conf::Sha256Digest right = object.sha256.value_or(*put_there);
    if (content.sha256 != right) {
        stores_.shelf()->drop(name);
        return fail(ErrorKind::corrupt, "its SHA-256 is " + conf::hex(content.sha256) +
                                            " instead of " + conf::hex(right));
    }
    return content;
}

// The row as it is served; null where its type may not be.
std::shared_ptr<CachedFile> FileFinder::describe_remote(const ServeRules& rules,
                                                        const std::string& key,
                                                        const storage::ObjectRecord& row,
                                                        std::shared_ptr<RemotePool> pool) {
    std::string_view type = row.content_type;
    if (type.empty()) type = transform::content_type_by_name(key);
    if (type.empty()) type = "application/octet-stream";
    if (!is_allowed(rules, key, type)) return nullptr;
    auto object = remote_object(row, std::move(pool));
    auto file = std::make_shared<CachedFile>();
    file->held = CachedFile::Held::remote;
    file->identity.size = row.size;
    file->identity.modified_ns = row.modified_s * 1'000'000'000;
    file->content_type = type;
    const conf::PoolSettings& settings = object->pool->settings;
    file->is_redirected = settings.serve == conf::PoolSettings::Serve::redirect;
    if (file->is_redirected && !settings.is_private())
        file->location = settings.public_base_url + '/' + storage::encode_path(key);
    file->remote = std::move(object);
    return file;
}

// Opens and reads the file; content without one: it is the version that is known already. Comes
// back to a file that is being written until it is whole or patience ends.
loop::Task<Result<FileFinder::Content>> FileFinder::load(loop::Loop& loop, Site& site,
                                                         const std::string& key,
                                                         const CachedFile* known) {
    const std::uint64_t give_up_ms = loop.now_ms() + patience_ms_;
    std::optional<Content> seen;  // read once, not yet certainly whole
    std::optional<storage::FileIdentity> version;
    if (known != nullptr) version = known->identity;
    using Opened = std::shared_ptr<const storage::OpenFile>;
    const loop::Lane lane = known != nullptr ? loop::Lane::known : loop::Lane::quick;
    while (true) {
        const auto open = [&pool = site.pool, key, version]() -> Result<Opened> {
            auto opened = pool.open(key);
            if (!opened) return std::unexpected(std::move(opened.error()));
            if (version == (*opened)->identity()) opened->reset();  // closes it here
            return std::move(*opened);
        };
        auto file = co_await loop::offload_within(loop, site.workers, lane, open);
        if (!file) co_return std::unexpected(std::move(file.error()));
        if (!*file) co_return Content{};
        const storage::FileIdentity identity = (*file)->identity();
        if (seen && seen->file->identity() == identity && seen->file->unchanged())
            co_return std::move(*seen);

        const bool to_memory = cache_.holds_in_memory(identity.size);
        auto content =
            co_await loop::offload_within(loop, site.workers, loop::Lane::bulk,
                                          [this, file = std::move(*file), to_memory]() mutable {
                                              return read_content(std::move(file), to_memory);
                                          });
        if (content && content->settled) co_return std::move(*content);
        if (!content && content.error().kind != ErrorKind::busy)
            co_return std::unexpected(std::move(content.error()));
        if (loop.now_ms() >= give_up_ms) co_return fail(ErrorKind::busy, "still being written");
        seen.reset();
        if (content) seen = std::move(*content);
        co_await loop.delay(kSettleMs);
    }
}

// On a worker, perhaps with nobody left who waits for it: touches nothing but digests_.
Result<FileFinder::Content> FileFinder::read_content(std::shared_ptr<const storage::OpenFile> file,
                                                     bool to_memory) {
    const storage::FileIdentity& identity = file->identity();
    const auto writers = file->writers();
    if (writers == storage::OpenFile::Writers::some)
        return fail(ErrorKind::busy, "open for writing");
    Content content{.file = file};
    if (auto read = read_whole(*file, to_memory, content); !read)
        return std::unexpected(std::move(read.error()));
    if (!file->unchanged()) return fail(ErrorKind::busy, "changed while it was read");
    content.settled =
        writers == storage::OpenFile::Writers::none ||
        wall_clock_ns() - std::max(identity.modified_ns, identity.changed_ns) >= kSettleNs;
    return content;
}

void FileFinder::filled(const RemoteObject& object, FillEnd end) {
    const std::shared_ptr<const CachedFile> known = cache_.find(object.key, 0).file;
    const bool is_current = known && known->remote && known->remote->same_content(object);
    if (!is_current) return;
    const bool learns_digest = end.sha256 && !known->remote->sha256;
    const bool to_memory = end.body && cache_.holds_in_memory(object.size);
    // Its bytes are on the shelf now, which whoever asks next finds out.
    const bool must_look = !to_memory && stores_.shelf() != nullptr;
    if (!learns_digest && !to_memory && !must_look) return;  // all is as it was
    auto file = std::make_shared<CachedFile>(*known);
    if (learns_digest) {
        // From now on its digest is known, and stays the same wherever the object goes.
        file->remote = with_digest(known->remote, end.sha256);
        learn_digest(*file->remote);
    }
    if (to_memory) {
        file->held = CachedFile::Held::in_memory;
        file->body = *end.body;
    }
    describe(*file, object.key, etag_of(*file->remote), rules()->policy,
             wall_clock_ns() / 1'000'000'000);
    cache_.replace(object.key, known, std::move(file), must_look);
}

void FileFinder::learn_digest(const RemoteObject& object) {
    const auto id = stores_.id_of(object.pool->settings.name);
    if (!id) return;
    storage::ObjectRecord row = storage::object_record(object.key, *id);
    row.size = object.size;
    row.sha256 = object.sha256;
    row.store_etag = object.store_etag;
    row.version_id = object.version_id;
    stores_.learn_digest(std::move(row));
}

// Fills in digest, look and, where it goes into memory, the body.
Result<void> FileFinder::read_whole(const storage::OpenFile& file, bool to_memory,
                                    Content& content) {
    const storage::FileIdentity& identity = file.identity();
    const auto remembered = digests_.find(identity);
    if (remembered) {
        content.sha256 = remembered->sha256;
        content.look = remembered->look;
        if (!to_memory) return {};
    }
    conf::Sha256 sha256;
    std::string chunk(
        std::min<std::uint64_t>(identity.size, to_memory ? identity.size : kReadBytes), '\0');
    for (std::uint64_t offset = 0; offset < identity.size; offset += chunk.size()) {
        if (identity.size - offset < chunk.size()) chunk.resize(identity.size - offset);
        if (auto read = file.read(offset, chunk); !read) return read;
        if (offset == 0) content.look = transform::look_at(chunk);
        if (!remembered) sha256.update(chunk);
    }
    if (!remembered) content.sha256 = sha256.finish();
    if (to_memory) content.body = std::move(chunk);
    if (!file.unchanged()) return fail(ErrorKind::busy, "changed while it was read");
    if (!remembered) digests_.put(identity, {content.sha256, content.look});
    return {};
}

bool FileFinder::is_allowed(const ServeRules& rules, std::string_view key, std::string_view type) {
    const bool allowed = rules.allows(type);
    if (!allowed) {
        refused_types_.fetch_add(1, std::memory_order_relaxed);
        conf::log_debug("not served key={} reason=\"type {} is not in types.allowed\"", key, type);
    }
    return allowed;
}

FileFinder::Found FileFinder::describe_content(Site& site, const std::string& key, Content content,
                                               const std::optional<storage::ObjectRecord>& row,
                                               const CatalogWord& word) {
    const std::shared_ptr<const ServeRules> rules = this->rules();
    const std::string_view type = transform::served_type(content.look, key);
    if (!is_allowed(*rules, key, type)) return {};
    const std::string_view claimed = transform::content_type_by_name(key);
    if (!claimed.empty() && claimed != type)
        mismatched_names_.fetch_add(1, std::memory_order_relaxed);

    auto file = std::make_shared<CachedFile>();
    file->identity = content.file->identity();
    file->pool = &site.pool;
    file->catalog_state = word.state;
    set_private(*rules, key, word.is_private || site.settings.is_private(), *file);
    file->content_type = type;
    if (cache_.holds_in_memory(file->identity.size)) {
        file->body = std::move(content.body);
    } else {
        file->held = CachedFile::Held::in_file;
        file->file = std::move(content.file);
        file->readers = &site.workers;
    }
    describe(*file, key, etag_of(content.sha256), rules->policy, wall_clock_ns() / 1'000'000'000);
    adopt(key, site, *file, content.sha256, row);
    return {std::move(file), std::nullopt};
}

// Invariant 11: what another program put here is written down when it is first asked for.
void FileFinder::adopt(const std::string& key, const Site& site, const CachedFile& file,
                       const conf::Sha256Digest& sha256,
                       const std::optional<storage::ObjectRecord>& row) {
    const auto id = stores_.id_of(site.pool.name());
    if (!id) return;
    const std::int64_t modified_s = file.identity.modified_s();
    if (row && row->pool == *id && row->size == file.identity.size && row->sha256 == sha256 &&
        row->modified_s == modified_s)
        return;
    storage::ObjectRecord object = storage::object_record(key, *id);
    object.size = file.identity.size;
    object.sha256 = sha256;
    object.content_type = file.content_type;
    object.modified_s = modified_s;
    object.added_s = wall_clock_ns() / 1'000'000'000;
    stores_.adopt(std::move(object));
}

}  // namespace tidepool::serve
