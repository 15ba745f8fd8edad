#include "proxy/upload/replication.h"

#include "conf/descriptor.h"
#include "conf/digest.h"
#include "conf/log.h"
#include "proxy/upload/bearer.h"
#include "proxy/upload/form_stream.h"
#include "proxy/upload/stored_content.h"
#include "storage/key.h"
#include "storage/mover.h"
#include "transform/content_type.h"

#include <cerrno>
#include <charconv>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;

constexpr std::size_t kReplicaChunkBytes = 256ULL * 1024;

bool knows_secret(const conf::Secret& secret, const http::RequestHead& head) {
    if (secret.empty()) return false;
    const conf::Sha256Digest wanted = conf::sha256(secret.reveal());
    return conf::sha256(bearer_of(head)) == wanted ||
           conf::sha256(head.single("X-Replicate-Secret")) == wanted;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
    std::uint64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
    return number;
}

// What a file that was copied in is told to be.
struct Replica {
    std::map<std::string, std::string, std::less<>> fields;
    std::string key;
    std::optional<std::uint64_t> size;
    std::optional<conf::Sha256Digest> sha256;
    storage::DriverSet::Pool pool{};
    std::unique_ptr<storage::StagedFile> file;
    conf::Sha256 hash;
    std::uint64_t received = 0;
    std::vector<char> chunk;
    std::string beginning;

    std::string_view field(std::string_view name) const {
        const auto found = fields.find(name);
        return found == fields.end() ? std::string_view() : std::string_view(found->second);
    }
};

std::optional<ApiAnswer> read_fields(const UploadMeans& means, Replica& replica) {
    std::string path(replica.field("stored_path"));
    if (path.empty() && !replica.field("relative_path").empty())
        path = fmt::format("{}/{}", replica.field("relative_path"), replica.field("file_name"));
    const bool is_rooted = path.starts_with("original/") || path.starts_with("variants/");
    replica.key = means.key_prefix() + path;
    if (!is_rooted || !storage::is_servable_key(replica.key)) {
        return api_error(400, "bad_request",
                         "stored_path must be a file below original/ or variants/");
    }
    if (const std::string_view size = replica.field("size"); !size.empty()) {
        replica.size = number_of(size);
        if (!replica.size) return api_error(400, "bad_request", "size is no number of bytes");
    }
    if (const std::string_view digest = replica.field("sha256"); !digest.empty()) {
        replica.sha256 = conf::parse_sha256(digest);
        if (!replica.sha256) return api_error(400, "bad_request", "sha256 has not 64 hex digits");
    } else if (means.settings.upload.replicate_checksum) {
        return api_error(400, "bad_request", "checksum required: send sha256 before the file");
    }
    return std::nullopt;
}

// Blocks, on a worker. Nothing: it is open.
Result<std::optional<ApiAnswer>> open_replica(const UploadMeans& means, storage::Spool& spool,
                                              Replica& replica) {
    using Problem = std::optional<ApiAnswer>;
    const auto id = number_of(replica.field("pool_id"));
    if (!id) return Problem(api_error(400, "bad_request", "pool_id is no number"));
    const auto pool = means.drivers->find(static_cast<storage::PoolId>(*id));
    if (!pool && means.drivers->name_of(static_cast<storage::PoolId>(*id)) == "?")
        return Problem(api_error(404, "not_found", "there is no such pool"));
    if (!pool || !storage::takes_images(pool->known)) {
        return Problem(api_error(503, "service_unavailable", "the pool cannot be used",
                                 "Retry-After: 60\r\n"));
    }
    replica.pool = *pool;
    const auto row = means.catalog->locate(replica.key);
    if (!row) return std::unexpected(row.error());
    if (row->is_deleted)
        return Problem(api_error(409, "conflict", "the image of this file was deleted"));
    if (row->row && row->row->pool != pool->known.id) {
        return Problem(api_error(409, "conflict",
                                 "the catalog says that this file lives in another pool: move it"));
    }
    const auto room = room_of(pool->known, *pool->driver);
    if (!room) return std::unexpected(room.error());
    const std::uint64_t wanted = replica.size.value_or(0);
    const auto fits = storage::require_room(*means.catalog, pool->known, wanted);
    if (!fits && fits.error().kind != ErrorKind::capped) return std::unexpected(fits.error());
    if (!fits || (room->free_bytes && *room->free_bytes < wanted))
        return Problem(api_error(507, "insufficient_storage", "the pool has no room for the file"));
    auto file = spool.hold(pool->driver, replica.key);
    if (!file) return std::unexpected(std::move(file.error()));
    replica.file = std::move(*file);
    return Problem();
}

Result<ApiAnswer> end_replica(const UploadMeans& means, Replica& replica) {
    if (replica.size && *replica.size != replica.received) {
        return api_error(400, "bad_request",
                         fmt::format("the file has {} bytes, and size says {}", replica.received,
                                     *replica.size));
    }
    storage::Driver& driver = *replica.pool.driver;
    const auto there = driver.head(replica.key);
    if (!there && there.error().kind != ErrorKind::not_found) return std::unexpected(there.error());
    if (there && there->size == replica.received && !replica.sha256) {
        return ApiAnswer{.status = 200,
                         .body = R"({"status":"ok","skipped":true,"reason":"exists"})",
                         .fields = {}};
    }
    const conf::Sha256Digest sha256 = replica.hash.finish();
    if (replica.sha256 && *replica.sha256 != sha256)
        return api_error(422, "checksum_mismatch", "the file has another SHA-256");
    if (auto fits = storage::require_room(*means.catalog, replica.pool.known, replica.received);
        !fits)
        return std::unexpected(std::move(fits.error()));
    storage::PutOptions options{.size = replica.received, .sha256 = sha256};
    options.content_type = transform::content_type_of(replica.beginning);
    options.cache_control = means.cache_control(replica.key, options.content_type);
    const auto info = replica.file->keep(options);
    if (!info) return std::unexpected(info.error());
    storage::ObjectRecord row = storage::object_record(replica.key, replica.pool.known.id, *info,
                                                       options.content_type, std::time(nullptr));
    row.sha256 = sha256;
    const auto noted = means.catalog->put_in_place(row);
    if (!noted) {
        if (!there) {
            if (auto removed = driver.remove(replica.key); !removed)
                conf::log_warn("replica not removed key={} reason=\"{}\"", replica.key,
                               removed.error().text);
        }
        return std::unexpected(noted.error());
    }
    if (means.changed) means.changed({replica.key});
    return ApiAnswer{.status = 200, .body = R"({"status":"ok"})", .fields = {}};
}

ApiAnswer replica_failed(const Error& error, std::string_view key) {
    conf::log_error("replication failed key={} reason=\"{}\"", key, error.text);
    if (error.kind == ErrorKind::capped)
        return api_error(507, "insufficient_storage", "the pool has no room for the file");
    if (error.kind == ErrorKind::conflict)
        return api_error(409, "conflict", "something else has that name");
    return api_error(503, "service_unavailable", "the file cannot be stored right now",
                     "Retry-After: 5\r\n");
}

Result<void> write_replica(Replica& replica) {
    replica.hash.update(replica.chunk);
    const int failed = conf::write_all(replica.file->fd(), replica.chunk);
    replica.chunk.clear();
    if (failed != 0) return fail_errno(failed, "write the replica");
    return {};
}

}  // namespace

loop::Task<ApiAnswer> replicate(const UploadMeans& means, storage::Spool& spool,
                                loop::WorkerPool& writers, loop::Loop& loop,
                                const http::RequestHead& head, http::BodyStream& body) {
    if (!knows_secret(means.settings.upload.replicate_secret, head))
        co_return api_error(401, "unauthorized", "send the secret of upload.replicate_secret");
    auto form = FormStream::of(head, body);
    if (!form)
        co_return api_error(400, "bad_request", "expected multipart/form-data with a boundary");
    Replica replica;
    while (true) {
        auto item = co_await form->next();
        if (!item) co_return std::move(item.error());
        switch (item->kind) {
            case FormStream::Kind::field:
                replica.fields.try_emplace(form->head().name, item->content);
                break;
            case FormStream::Kind::file: {
                if (form->head().name != "file" || replica.file)
                    co_return api_error(400, "bad_request", "expected one file, called \"file\"");
                if (auto problem = read_fields(means, replica)) co_return std::move(*problem);
                auto opened = co_await loop::offload(loop, writers, loop::Lane::bulk, [&] {
                    return open_replica(means, spool, replica);
                });
                if (!opened) co_return replica_failed(opened.error(), replica.key);
                if (*opened) co_return std::move(**opened);
                break;
            }
            case FormStream::Kind::content: {
                std::string_view content = item->content;
                replica.received += content.size();
                if (replica.received > means.settings.upload.max_size_bytes) {
                    co_return api_error(413, "payload_too_large",
                                        "the file is larger than upload.max_size");
                }
                if (replica.beginning.size() < transform::kSniffBytes)
                    replica.beginning +=
                        content.substr(0, transform::kSniffBytes - replica.beginning.size());
                replica.chunk.insert(replica.chunk.end(), content.begin(), content.end());
                if (replica.chunk.size() < kReplicaChunkBytes) break;
                const auto written = co_await loop::offload(loop, writers, loop::Lane::bulk,
                                                            [&] { return write_replica(replica); });
                if (!written) co_return replica_failed(written.error(), replica.key);
                break;
            }
            case FormStream::Kind::end: {
                if (!replica.file) co_return api_error(400, "bad_request", "the form has no file");
                auto ended = co_await loop::offload(
                    loop, writers, loop::Lane::bulk, [&]() -> Result<ApiAnswer> {
                        if (auto written = write_replica(replica); !written)
                            return std::unexpected(written.error());
                        return end_replica(means, replica);
                    });
                if (!ended) co_return replica_failed(ended.error(), replica.key);
                co_return std::move(*ended);
            }
        }
    }
}

}  // namespace tidepool::upload
