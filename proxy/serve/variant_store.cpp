#include "proxy/serve/variant_store.h"

#include "conf/digest.h"
#include "conf/log.h"
#include "storage/local_driver.h"
#include "storage/streams.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// Whoever asked waits; a job comes back to it later.
constexpr unsigned kTries = 2;
// Calls to buckets at a time. They wait for the network, not for a processor.
constexpr unsigned kThreads = 4;
constexpr std::size_t kReadBytes = 256 * 1024;

// Reads all of the file, a piece at a time.
template <class Take>
Result<void> read_all(const storage::OpenFile& file, Take take) {
    std::string chunk;
    for (std::uint64_t offset = 0; offset < file.identity().size; offset += chunk.size()) {
        chunk.resize(static_cast<std::size_t>(
            std::min<std::uint64_t>(kReadBytes, file.identity().size - offset)));
        if (auto read = file.read(offset, chunk); !read) return read;
        if (Result<void> taken = take(chunk); !taken) return taken;
    }
    return {};
}

Result<conf::Sha256Digest> digest_of(const storage::OpenFile& file) {
    conf::Sha256 sha256;
    auto read = read_all(file, [&](std::string_view bytes) -> Result<void> {
        sha256.update(bytes);
        return {};
    });
    if (!read) return std::unexpected(std::move(read.error()));
    return sha256.finish();
}

}  // namespace

VariantStore::VariantStore(loop::Loop& loop, FileFinder& finder, const conf::Settings& settings)
    : loop_(loop),
      finder_(finder),
      key_prefix_(settings.server.url_prefix.substr(1)),
      workers_("w:store", kThreads, settings.workers.queue) {}

VariantStore::~VariantStore() = default;

loop::Task<Result<void>> VariantStore::put(const Original& original, StorableVariant variant,
                                           bool tried_before) {
    const conf::PoolSettings& pool =
        original.site != nullptr ? original.site->settings : original.pool->settings;
    auto room = co_await require_room(pool, variant.file->identity().size);
    if (!room) co_return room;
    Result<void> stored;
    if (original.site != nullptr) {
        stored = co_await put_local(*original.site, variant);
    } else {
        stored = co_await put_remote(original.pool, variant, tried_before);
    }
    if (stored) finder_.cache().forget(variant.key);
    co_return stored;
}

// A full pool takes nothing new, variants neither.
loop::Task<Result<void>> VariantStore::require_room(const conf::PoolSettings& pool,
                                                    std::uint64_t bytes) {
    Stores& stores = finder_.stores();
    const auto id = stores.id_of(pool.name);
    if (pool.max_size_bytes == 0 || !id) co_return Result<void>{};
    const auto accounts = co_await loop::offload(loop_, stores.catalog_workers(), loop::Lane::quick,
                                                 [&] { return stores.catalog()->accounts(); });
    if (!accounts) co_return std::unexpected(accounts.error());
    std::uint64_t used = 0;
    for (const storage::Account& account : *accounts) {
        if (account.pool == *id) used += account.bytes;
    }
    if (used + bytes <= pool.max_size_bytes) co_return Result<void>{};
    co_return fail(ErrorKind::capped, fmt::format("pool {} is full (max_size)", pool.name));
}

// Its row in the catalog is written when it is found, as that of every file.
loop::Task<Result<void>> VariantStore::put_local(FileFinder::Site& site,
                                                 const StorableVariant& variant) {
    co_return co_await loop::offload(loop_, site.workers, loop::Lane::bulk, [&]() -> Result<void> {
        storage::LocalDriver driver(site.settings, key_prefix_);
        storage::FileSource source(variant.file);
        storage::PutOptions options;
        options.size = variant.file->identity().size;
        options.content_type = variant.content_type;
        auto put = driver.put(variant.key, source, options);
        if (!put) return std::unexpected(std::move(put.error()));
        return {};
    });
}

loop::Task<Result<void>> VariantStore::put_remote(std::shared_ptr<RemotePool> pool,
                                                  const StorableVariant& variant,
                                                  bool tried_before) {
    Stores& stores = finder_.stores();
    const auto id = stores.id_of(pool->settings.name);
    if (!id) co_return fail(ErrorKind::misconfigured, "its pool is no longer served");
    const std::string cache_control(finder_.rules()->policy.cache_control(
        variant.key, 200, variant.content_type));  // for visitors who are sent to the bucket
    const std::shared_ptr<storage::Driver> driver = driver_of(pool);
    const auto info = co_await loop::offload(
        loop_, workers_, loop::Lane::bulk, [&]() -> Result<storage::ObjectInfo> {
            const auto sha256 = digest_of(*variant.file);
            if (!sha256) return std::unexpected(sha256.error());
            storage::PutOptions options;
            options.size = variant.file->identity().size;
            options.sha256 = *sha256;
            options.content_type = variant.content_type;
            options.cache_control = cache_control;
            if (tried_before) {
                auto there = driver->head(variant.key);
                if (there && there->size == options.size && there->sha256 == options.sha256)
                    return there;
            }
            storage::FileSource source(variant.file);
            return driver->put(variant.key, source, options);
        });
    if (!info) co_return std::unexpected(info.error());
    const std::int64_t now_s = std::time(nullptr);
    storage::ObjectRecord row = storage::object_record(variant.key, *id);
    row.size = info->size;
    row.sha256 = info->sha256;
    row.content_type = variant.content_type;
    row.modified_s = info->modified_s != 0 ? info->modified_s : now_s;
    row.store_etag = info->etag;
    row.version_id = info->version_id;
    row.added_s = now_s;
    // Before the row: who finds the row shall find the bytes near.
    co_await shelve(row, std::move(pool), variant);
    co_return co_await write_down(row);
}

loop::Task<Result<void>> VariantStore::write_down(const storage::ObjectRecord& row) {
    Stores& stores = finder_.stores();
    auto replaced = co_await loop::offload(loop_, stores.catalog_workers(), loop::Lane::bulk,
                                           [&] { return stores.catalog()->put_object(row); });
    if (!replaced) co_return std::unexpected(std::move(replaced.error()));
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
            auto copied = read_all(
                *variant.file, [&](std::string_view bytes) { return (*filling)->append(bytes); });
            if (!copied) return copied;
            return (*filling)->commit(row.sha256);
        });
    if (!shelved)
        conf::log_warn("variant not shelved key={} reason=\"{}\"", row.key, shelved.error().text);
}

std::shared_ptr<storage::Driver> VariantStore::driver_of(const std::shared_ptr<RemotePool>& pool) {
    Driver& known = drivers_[pool->settings.name];
    if (known.pool != pool) {
        storage::S3Limits limits;
        limits.retry.tries = kTries;
        known.driver = std::make_shared<storage::S3Driver>(
            pool->settings, std::shared_ptr<storage::StoreGate>(pool, &pool->gate), limits);
        known.pool = pool;
    }
    return known.driver;
}

}  // namespace tidepool::serve
