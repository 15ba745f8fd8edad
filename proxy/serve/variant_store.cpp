#include "proxy/serve/variant_store.h"

#include "conf/log.h"
#include "storage/checked_source.h"
#include "storage/local_driver.h"
#include "storage/streams.h"

#include <ctime>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// Whoever asked waits; a job comes back to it later.
constexpr unsigned kTries = 2;
// Calls to a bucket at a time. They wait for the network, not for a processor.
constexpr unsigned kThreads = 4;
// What is on its way into a pool, at most; one variant may be larger than that. What is too much is
// answered as what cannot be stored, and made again by a job, which costs less than memory.
constexpr std::size_t kMostOnTheirWay = 64;
constexpr std::uint64_t kMostBytesOnTheirWay = 128ULL << 20;
constexpr std::size_t kStoreReadBytes = 256 * 1024;

Error too_much_on_its_way(const std::string& pool) {
    return {ErrorKind::overloaded, fmt::format("too much is being stored in pool {}", pool)};
}

bool is_refusal(const Error& error) {
    return error.kind == ErrorKind::busy || error.kind == ErrorKind::not_found;
}

}  // namespace

VariantStore::VariantStore(loop::Loop& loop, FileFinder& finder, const conf::Settings& settings)
    : loop_(loop),
      finder_(finder),
      key_prefix_(settings.server.url_prefix.substr(1)),
      queue_(settings.workers.queue) {}

VariantStore::~VariantStore() = default;

bool VariantStore::OnItsWay::takes(std::uint64_t more) const {
    return variants == 0 || (variants < kMostOnTheirWay && bytes + more <= kMostBytesOnTheirWay);
}

// Of one variant, while it is on its way.
class VariantStore::Place {
  public:
    Place(OnItsWay& pool, std::uint64_t bytes) : pool_(pool), bytes_(bytes) {
        ++pool_.variants;
        pool_.bytes += bytes_;
    }
    ~Place() {
        --pool_.variants;
        pool_.bytes -= bytes_;
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

  private:
    OnItsWay& pool_;
    const std::uint64_t bytes_;
};

loop::Task<Result<void>> VariantStore::put(Home home, StorableVariant variant) {
    const std::uint64_t bytes = variant.file->identity().size;
    auto room = co_await require_room(home.settings(), bytes);
    if (!room) co_return room;
    OnItsWay& pool = on_their_way_[home.settings().name];
    // Others may have come while it was asked.
    if (!pool.takes(bytes)) co_return std::unexpected(too_much_on_its_way(home.settings().name));
    const Place place(pool, bytes);
    auto stored = co_await store(home, variant);
    finder_.changed(variant.key);
    co_return stored;
}

loop::Task<Result<void>> VariantStore::store(const Home& home, const StorableVariant& variant) {
    if (home.site != nullptr) co_return co_await put_local(home, variant);
    co_return co_await put_remote(home, variant);
}

// A full pool takes nothing new, variants neither.
loop::Task<Result<void>> VariantStore::require_room(const conf::PoolSettings& pool,
                                                    std::uint64_t bytes) {
    if (!on_their_way_[pool.name].takes(bytes))
        co_return std::unexpected(too_much_on_its_way(pool.name));
    Stores& stores = finder_.stores();
    const auto id = stores.id_of(pool.name);
    if (pool.max_size_bytes == 0 || !id) co_return Result<void>{};
    const auto used =
        co_await loop::offload(loop_, stores.catalog_workers(), loop::Lane::quick,
                               [&] { return storage::bytes_held(*stores.catalog(), *id); });
    if (!used) co_return std::unexpected(used.error());
    if (*used + bytes <= pool.max_size_bytes) co_return Result<void>{};
    co_return fail(ErrorKind::capped, fmt::format("pool {} is full (max_size)", pool.name));
}

loop::Task<Result<void>> VariantStore::put_local(const Home& home, const StorableVariant& variant) {
    FileFinder::Site& site = *home.site;
    const auto info = co_await loop::offload_within(
        loop_, site.workers, loop::Lane::bulk,
        [&site, variant, home_key = home.original,
         prefix = key_prefix_]() -> Result<storage::ObjectInfo> {
            storage::LocalDriver driver(site.settings, prefix);
            storage::FileSource source(variant.file);
            storage::PutOptions options;
            options.size = variant.file->identity().size;
            options.content_type = variant.content_type;
            auto put = driver.put(variant.key, source, options);
            if (!put) return put;
            // Who removed the original meanwhile has looked for variants before this one was there.
            const auto original = site.pool.open(home_key);
            if (original || original.error().kind != ErrorKind::not_found) return put;
            if (auto removed = driver.remove(variant.key); !removed)
                return std::unexpected(std::move(removed.error()));
            return fail(ErrorKind::not_found, "its original was removed meanwhile");
        });
    if (!info) co_return std::unexpected(info.error());
    const auto id = finder_.stores().id_of(home.settings().name);
    if (!id) co_return Result<void>{};
    auto written = co_await write_down(
        home,
        storage::object_record(variant.key, *id, *info, variant.content_type, std::time(nullptr)));
    if (written) co_return written;
    if (!is_refusal(written.error())) {
        // It gets its row when it is found, as every file here.
        conf::log_warn("variant not written down key={} reason=\"{}\"", variant.key,
                       written.error().text);
        co_return Result<void>{};
    }
    auto removed = co_await loop::offload(loop_, site.workers, loop::Lane::bulk, [&] {
        return storage::LocalDriver(site.settings, key_prefix_).remove(variant.key);
    });
    if (!removed) co_return removed;
    co_return written;
}

loop::Task<Result<void>> VariantStore::put_remote(const Home& home,
                                                  const StorableVariant& variant) {
    Stores& stores = finder_.stores();
    const auto id = stores.id_of(home.pool->settings.name);
    if (!id) co_return fail(ErrorKind::misconfigured, "its pool is no longer served");
    const std::string cache_control(finder_.rules()->policy.cache_control(
        variant.key, 200, variant.content_type));  // for visitors who are sent to the bucket
    const Driver& bucket = driver_of(home.pool);
    const std::shared_ptr<storage::Driver> driver = bucket.driver;
    const auto info = co_await loop::offload(
        loop_, *bucket.workers, loop::Lane::bulk, [&]() -> Result<storage::ObjectInfo> {
            storage::FileSource source(variant.file);
            storage::PutOptions options;
            options.size = variant.file->identity().size;
            const auto sha256 = storage::hash_source(source, options.size);
            if (!sha256) return std::unexpected(sha256.error());
            options.sha256 = *sha256;
            options.content_type = variant.content_type;
            options.cache_control = cache_control;
            auto there = driver->head(variant.key);
            if (there && there->size == options.size && there->sha256 == options.sha256)
                return there;
            if (!there && there.error().kind != ErrorKind::not_found) return there;
            // No row names it, so nobody reads what it is, and it would be paid for.
            if (there) {
                if (auto removed = driver->remove(variant.key); !removed)
                    return std::unexpected(std::move(removed.error()));
            }
            return driver->put(variant.key, source, options);
        });
    if (!info) co_return std::unexpected(info.error());
    const storage::ObjectRecord row =
        storage::object_record(variant.key, *id, *info, variant.content_type, std::time(nullptr));
    // Before the row: who finds the row shall find the bytes near.
    co_await shelve(row, home.pool, variant);
    auto written = co_await write_down(home, row);
    if (written || !is_refusal(written.error())) co_return written;
    auto removed = co_await loop::offload(loop_, *bucket.workers, loop::Lane::bulk,
                                          [&] { return driver->remove(row.key); });
    if (!removed) co_return removed;
    co_return written;
}

// Who removes or moves an image takes along the variants that have rows. So a variant gets its row
// only where the image still lives beside it; where the catalog refuses that (busy: it was moved,
// not_found: it is gone), what was stored is to be removed again.
loop::Task<Result<void>> VariantStore::write_down(const Home& home,
                                                  const storage::ObjectRecord& row) {
    Stores& stores = finder_.stores();
    auto replaced = co_await loop::offload(loop_, stores.catalog_workers(), loop::Lane::bulk, [&] {
        return stores.catalog()->put_variant(row, home.original, home.site != nullptr);
    });
    if (!replaced) {
        Error error = std::move(replaced.error());
        if (error.kind == ErrorKind::conflict) error.kind = ErrorKind::busy;
        co_return std::unexpected(std::move(error));
    }
    if (*replaced && (*replaced)->pool != row.pool) {
        stores.report_inconsistency(row.key, stores.name_of((*replaced)->pool),
                                    "a variant was there and has been made anew elsewhere");
    }
    co_return Result<void>{};
}

// What is not on the shelf is fetched when it is asked for.
loop::Task<> VariantStore::shelve(const storage::ObjectRecord& row,
                                  std::shared_ptr<RemotePool> pool,
                                  const StorableVariant& variant) {
    storage::Shelf* const shelf = finder_.stores().shelf();
    if (shelf == nullptr) co_return;
    const storage::ShelfName name = shelf_name(*remote_object(row, std::move(pool)));
    const auto shelved = co_await loop::offload(
        loop_, *finder_.stores().shelf_workers(), loop::Lane::bulk, [&]() -> Result<void> {
            auto filling = shelf->begin(name);
            if (!filling) return std::unexpected(std::move(filling.error()));
            storage::FileSource source(variant.file);
            std::vector<char> chunk(kStoreReadBytes);
            while (true) {
                const auto count = source.read(chunk);
                if (!count) return std::unexpected(count.error());
                if (*count == 0) return (*filling)->commit(row.sha256);
                auto appended = (*filling)->append(std::span(chunk).first(*count));
                if (!appended) return appended;
            }
        });
    if (!shelved)
        conf::log_warn("variant not shelved key={} reason=\"{}\"", row.key, shelved.error().text);
}

VariantStore::Driver& VariantStore::driver_of(const std::shared_ptr<RemotePool>& pool) {
    Driver& known = drivers_[pool->settings.name];
    if (!known.workers) {
        known.workers =
            std::make_unique<loop::WorkerPool>("store:" + pool->settings.name, kThreads, queue_);
    }
    if (known.pool != pool) {
        storage::S3Limits limits;
        limits.retry.tries = kTries;
        known.driver = std::make_shared<storage::S3Driver>(
            pool->settings, std::shared_ptr<storage::StoreGate>(pool, &pool->gate), limits);
        known.pool = pool;
    }
    return known;
}

}  // namespace tidepool::serve
