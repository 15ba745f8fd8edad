#include "proxy/serve/file_finder.h"

#include "conf/log.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
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

std::int64_t wall_clock_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// The order in which pools are asked: hot before warm before cold, then by priority, then as
// written.
std::vector<conf::PoolSettings> in_asking_order(std::vector<conf::PoolSettings> pools) {
    std::erase_if(pools, [](const conf::PoolSettings& pool) {
        return !pool.is_active || pool.storage_type == conf::PoolSettings::Type::s3;
    });
    std::vector<std::size_t> order(pools.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, {}, [&](std::size_t i) {
        return std::tuple(pools[i].storage_tier, pools[i].priority, i);
    });
    std::vector<conf::PoolSettings> sorted;
    for (const std::size_t i : order)
        sorted.push_back(pools[i]);
    return sorted;
}

}  // namespace

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

FileFinder::FileFinder(const conf::Settings& settings, std::shared_ptr<const ServeRules> rules)
    : cache_(settings.cache),
      digests_(settings.cache.digests),
      patience_ms_(static_cast<std::uint64_t>(settings.cache.freshness.count())),
      rules_(std::move(rules)) {
    for (const conf::PoolSettings& pool : in_asking_order(settings.pools)) {
        pools_.push_back(
            {storage::LocalPool(pool, settings.server.url_prefix.substr(1)),
             std::make_unique<loop::WorkerPool>(pool.name, settings.workers.threads_per_pool,
                                                settings.workers.queue)});
    }
}

std::vector<FileFinder::PoolUse> FileFinder::pools() const {
    std::vector<PoolUse> uses;
    uses.reserve(pools_.size());
    for (std::size_t i = 0; i < pools_.size(); ++i)
        uses.push_back({i, pools_[i].store, *pools_[i].workers});
    return uses;
}

std::shared_ptr<const ServeRules> FileFinder::rules() const {
    const std::lock_guard lock(rules_mutex_);
    return rules_;
}

void FileFinder::change_rules(std::shared_ptr<const ServeRules> rules) {
    {
        const std::lock_guard lock(rules_mutex_);
        rules_ = std::move(rules);
    }
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
    const std::uint64_t generation = cache_.generation();
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

void FileFinder::land(const std::string& key, const std::shared_ptr<Flight>& flight,
                      const Found& found) {
    {
        const std::lock_guard lock(flights_mutex_);
        flights_.erase(key);
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

// Asks one pool after the other. A pool that fails does not hide what another one has, but without
// a find its failure is the answer: nobody may be told "absent" because a disk is ill.
loop::Task<FileFinder::Found> FileFinder::look(loop::Loop& loop, const std::string& key,
                                               const std::shared_ptr<const CachedFile>& known) {
    std::optional<Error> failure;
    for (std::size_t i = 0; i < pools_.size(); ++i) {
        const bool known_here = known && known->pool == i;
        Result<Content> content =
            co_await load(loop, pools_[i], key, known_here ? known.get() : nullptr);
        if (content) {
            if (known_here && content->file->identity() == known->identity)
                co_return Found{known, std::nullopt};
            co_return describe_content(i, key, std::move(*content));
        }
        if (content.error().kind == ErrorKind::not_found) continue;
        if (content.error().kind == ErrorKind::denied) {
            conf::log_warn("not served key={} reason=\"{}\"", key, content.error().text);
            continue;
        }
        // While a new version is being written the old one is served, as long as it is whole.
        const bool old_is_whole = known_here && (known->in_memory() || known->file->unchanged());
        if (content.error().kind == ErrorKind::busy && old_is_whole)
            co_return Found{known, std::nullopt};
        failure = std::move(content.error());
    }
    if (failure) conf::log_warn("lookup failed key={} reason=\"{}\"", key, failure->text);
    co_return Found{nullptr, std::move(failure)};
}

// Opens and, unless it is the version that is known already, reads the file. Comes back to a file
// that is being written until it is whole or patience ends.
loop::Task<Result<FileFinder::Content>> FileFinder::load(loop::Loop& loop, Pool& pool,
                                                         const std::string& key,
                                                         const CachedFile* known) {
    const std::uint64_t give_up_ms = loop.now_ms() + patience_ms_;
    std::optional<Content> seen;  // read once, not yet certainly whole
    while (true) {
        auto file = co_await loop::offload(loop, *pool.workers, loop::Lane::quick,
                                           [&] { return pool.store.open(key); });
        if (!file) co_return std::unexpected(std::move(file.error()));
        const storage::FileIdentity identity = (*file)->identity();
        if (known != nullptr && known->identity == identity)
            co_return Content{.file = std::move(*file)};
        if (seen && seen->file->identity() == identity && seen->file->unchanged())
            co_return std::move(*seen);

        auto content = co_await loop::offload(loop, *pool.workers, loop::Lane::bulk,
                                              [&] { return read_content(std::move(*file)); });
        if (content && content->settled) co_return std::move(*content);
        if (!content && content.error().kind != ErrorKind::busy)
            co_return std::unexpected(std::move(content.error()));
        if (loop.now_ms() >= give_up_ms) co_return fail(ErrorKind::busy, "still being written");
        seen.reset();
        if (content) seen = std::move(*content);
        co_await loop.delay(kSettleMs);
    }
}

// On a worker.
Result<FileFinder::Content> FileFinder::read_content(
    std::shared_ptr<const storage::OpenFile> file) {
    const storage::FileIdentity& identity = file->identity();
    const auto writers = file->writers();
    if (writers == storage::OpenFile::Writers::some)
        return fail(ErrorKind::busy, "open for writing");
    Content content{.file = file};
    const bool to_memory = cache_.holds_in_memory(identity.size);
    const auto remembered = digests_.find(identity);
    if (remembered) {
        content.sha256 = remembered->sha256;
        content.look = remembered->look;
    }
    if (to_memory || !remembered) {
        conf::Sha256 sha256;
        std::string chunk(
            std::min<std::uint64_t>(identity.size, to_memory ? identity.size : kReadBytes), '\0');
        for (std::uint64_t offset = 0; offset < identity.size; offset += chunk.size()) {
            if (identity.size - offset < chunk.size()) chunk.resize(identity.size - offset);
            if (auto read = file->read(offset, chunk); !read)
                return std::unexpected(std::move(read.error()));
            if (offset == 0) content.look = transform::look_at(chunk);
            if (!remembered) sha256.update(chunk);
        }
        if (!remembered) content.sha256 = sha256.finish();
        if (to_memory) content.body = std::move(chunk);
    }
    if (!file->unchanged()) return fail(ErrorKind::busy, "changed while it was read");
    digests_.put(identity, {content.sha256, content.look});
    content.settled =
        writers == storage::OpenFile::Writers::none ||
        wall_clock_ns() - std::max(identity.modified_ns, identity.changed_ns) >= kSettleNs;
    return content;
}

FileFinder::Found FileFinder::describe_content(std::size_t pool, const std::string& key,
                                               Content content) {
    const std::shared_ptr<const ServeRules> rules = this->rules();
    const std::string_view type = transform::served_type(content.look, key);
    const bool allowed = std::ranges::any_of(rules->allowed_types, [&](const std::string& pattern) {
        return transform::type_matches(type, pattern);
    });
    if (!allowed) {
        refused_types_.fetch_add(1, std::memory_order_relaxed);
        conf::log_debug("not served key={} reason=\"type {} is not in types.allowed\"", key, type);
        return {};
    }
    const std::string_view claimed = transform::content_type_by_name(key);
    if (!claimed.empty() && claimed != type)
        mismatched_names_.fetch_add(1, std::memory_order_relaxed);

    auto file = std::make_shared<CachedFile>();
    file->identity = content.file->identity();
    file->pool = pool;
    file->content_type = type;
    if (cache_.holds_in_memory(file->identity.size)) {
        file->body = std::move(content.body);
    } else {
        file->file = std::move(content.file);
    }
    describe(*file, key, content.sha256, rules->policy, wall_clock_ns() / 1'000'000'000);
    return {std::move(file), std::nullopt};
}

}  // namespace tidepool::serve
