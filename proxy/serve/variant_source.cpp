#include "proxy/serve/variant_source.h"

#include "proxy/serve/memory_file.h"
#include "transform/content_type.h"
#include "transform/pixel_count.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

// An original that was changed so short a time ago may still be on its way.
constexpr std::int64_t kSettleS = 3;
constexpr std::uint64_t kChunkBytes = 256 * 1024;

}  // namespace

bool Original::may_be_on_its_way() const {
    if (home.site == nullptr) return false;  // a bucket has an object only once it is whole
    return !file->unchanged() || file->identity().modified_s() + kSettleS > std::time(nullptr);
}

Result<transform::SourceHead> read_head(const storage::OpenFile& file) {
    auto beginning = file.beginning(transform::kSniffBytes);
    if (!beginning) return std::unexpected(std::move(beginning.error()));
    const std::uint64_t bytes = file.identity().size;
    Result<void> read;
    const auto part = [&](std::uint64_t offset, std::size_t count) {
        std::string text(static_cast<std::size_t>(
                             std::min<std::uint64_t>(count, bytes - std::min(offset, bytes))),
                         '\0');
        if (read) read = file.read(offset, text);
        return read ? text : std::string();
    };
    const std::uint64_t pixels = transform::pixel_count_of(*beginning, part);
    if (!read) return std::unexpected(std::move(read.error()));
    return transform::SourceHead{std::move(*beginning), bytes, pixels};
}

// Asks the catalog first, as FileFinder does: what a disk has beside a row that names a bucket is
// not where the image lives.
loop::Task<Result<Original>> VariantSource::find(std::vector<std::string> keys) {
    storage::Catalog* const catalog = finder_.stores().catalog();
    std::optional<Error> not_asked;
    for (const std::string& key : keys) {
        if (catalog == nullptr) break;
        auto row = co_await loop::offload(place_.loop, finder_.stores().catalog_workers(),
                                          loop::Lane::quick, [&] { return catalog->locate(key); });
        if (!row) {
            not_asked = std::move(row.error());
            break;
        }
        if (row->is_deleted) co_return fail(ErrorKind::not_found, "its image was deleted");
        if (!row->row) continue;
        const storage::PoolId id = row->row->pool;
        if (auto pool = finder_.stores().remote(id))
            co_return co_await find_remote(key, std::move(pool));
        auto found = co_await find_local({key});
        if (!found && found.error().kind == ErrorKind::not_found && !finder_.is_looked_at(id))
            co_return fail(ErrorKind::misconfigured,
                           fmt::format("{} is in a pool that is not active or not in the "
                                       "configuration",
                                       key));
        co_return found;
    }
    auto found = co_await find_local(std::move(keys));
    // What only the catalog knows cannot be called absent.
    if (!found && found.error().kind == ErrorKind::not_found && not_asked)
        co_return std::unexpected(std::move(*not_asked));
    co_return found;
}

// As FileFinder asks pools: one that fails does not hide what another one has, but without a find
// nobody may be told that there is none.
loop::Task<Result<Original>> VariantSource::find_local(std::vector<std::string> keys) {
    const auto sites = finder_.sites();
    std::optional<Error> failure;
    for (const std::string& key : keys) {
        for (FileFinder::Site* const site : *sites) {
            auto file = co_await loop::offload_within(place_.loop, site->workers, loop::Lane::quick,
                                                      [site, key] { return site->pool.open(key); });
            if (file) {
                if ((*file)->identity().size > most_bytes_)
                    co_return fail(ErrorKind::too_large, fmt::format("{} is too large", key));
                Original original;
                original.home = {.original = key, .site = site, .pool = nullptr};
                original.file = std::move(*file);
                original.readers = &site->workers;
                co_return original;
            }
            const ErrorKind kind = file.error().kind;
            if (kind != ErrorKind::not_found && kind != ErrorKind::denied)
                failure = std::move(file.error());
        }
    }
    if (failure) co_return std::unexpected(std::move(*failure));
    co_return fail(ErrorKind::not_found, "no pool has its original");
}

loop::Task<Result<Original>> VariantSource::find_remote(std::string key,
                                                        std::shared_ptr<RemotePool> pool) {
    FileFinder::Found found = co_await finder_.find(place_.loop, key);
    if (found.error) co_return std::unexpected(std::move(*found.error));
    if (!found.is_there()) co_return fail(ErrorKind::not_found, "its original is not served");
    if (!found.file->remote || found.file->remote->pool != pool)
        co_return fail(ErrorKind::busy, fmt::format("{} is being moved", key));
    if (found.file->identity.size > most_bytes_)
        co_return fail(ErrorKind::too_large, fmt::format("{} is too large", key));
    Original original;
    original.home = {.original = std::move(key), .site = nullptr, .pool = std::move(pool)};
    if (found.file->held == CachedFile::Held::in_file) {
        original.file = found.file->file;
        original.readers = found.file->readers;
    }
    original.known = std::move(found.file);
    co_return original;
}

loop::Task<Result<void>> VariantSource::bring(Original& original, VariantLane lane) {
    if (original.file) co_return Result<void>{};
    original.turn.emplace(co_await (lane == VariantLane::dear ? dear_turns_ : cheap_turns_).take());
    if (stopping_) co_return fail(ErrorKind::closed, "the server is stopping");
    Result<std::shared_ptr<const storage::OpenFile>> file;
    if (original.known->in_memory()) {
        MemoryFile copy;
        if (auto written = copy.append(original.known->body); !written) co_return written;
        file = copy.finish();
    } else {
        file = co_await fetch(original.known->remote);
    }
    if (!file) co_return std::unexpected(std::move(file.error()));
    original.file = std::move(*file);
    co_return Result<void>{};
}

loop::Task<Result<void>> VariantSource::bring_anew(Original& original, VariantLane lane) {
    if (!original.turn) co_return Result<void>{};  // it is in a file
    original.file.reset();
    original.turn.reset();
    co_return co_await bring(original, lane);
}

// All of it, and proved: an object that is not what the catalog says ends with an error of its
// store's.
loop::Task<Result<std::shared_ptr<const storage::OpenFile>>> VariantSource::fetch(
    std::shared_ptr<const RemoteObject> object) {
    const StoreDetail detail{.pool = object->pool->settings.name, .key = object->key};
    MemoryFile file;
    if (object->size == 0) co_return file.finish();
    auto body = co_await origin_.open(place_, object, {0, object->size}, {});
    if (!body) {
        if (body.error().kind == ErrorKind::not_found) {
            if (co_await finder_.find_moved(place_.loop, *object))
                co_return fail(ErrorKind::busy, fmt::format("{} is being moved", object->key));
            finder_.stores().report_inconsistency(object->key, object->pool->settings.name,
                                                  body.error().text);
            finder_.missing_in_bucket(object->key, place_.loop.now_ms());
            co_return fail(ErrorKind::not_found, std::move(body.error().text));
        }
        Error error = std::move(body.error());
        if (!error.store) error.store = std::make_shared<const StoreDetail>(detail);
        co_return std::unexpected(std::move(error));
    }
    std::string chunk;
    std::uint64_t offset = 0;
    while (offset < object->size) {
        const http::Incoming::View view = (*body)->look(offset);
        if (view.bytes == 0) {
            if (co_await (*body)->more(offset)) continue;
            co_return fail(ErrorKind::io, fmt::format("{} broke off", object->key), detail);
        }
        std::string_view text = view.text;
        if (text.empty()) {
            chunk.resize(
                static_cast<std::size_t>(std::min<std::uint64_t>(view.bytes, kChunkBytes)));
            auto read = co_await loop::offload(place_.loop, *view.readers, loop::Lane::bulk, [&] {
                return view.file->read(view.file_offset, chunk);
            });
            if (!read) co_return std::unexpected(std::move(read.error()));
            text = chunk;
        }
        if (auto written = file.append(text); !written)
            co_return std::unexpected(std::move(written.error()));
        offset += text.size();
    }
    co_return file.finish();
}

}  // namespace tidepool::serve
