#include "proxy/upload/replication.h"

#include "conf/descriptor.h"
#include "conf/digest.h"
#include "conf/log.h"
#include "proxy/upload/bearer.h"
#include "proxy/upload/form_stream.h"
#include "storage/key.h"
#include "storage/move_jobs.h"
#include "storage/mover.h"
#include "transform/content_type.h"

#include <algorithm>
#include <array>
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
    storage::PoolId pool_id = 0;
    std::optional<std::uint64_t> size;
    std::optional<conf::Sha256Digest> sha256;
    storage::DriverSet::Pool pool{};
    loop::WorkerPool* writers = nullptr;  // of the pool, once that is known
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

// Which of two counts is not for us to guess. Others than these say nothing.
constexpr std::array<std::string_view, 6> kReplicaFields{
    "pool_id", "stored_path", "relative_path", "file_name", "size", "sha256"};
std::optional<ApiAnswer> keep_field(Replica& replica, std::string_view name,
                                    std::string_view value) {
    const auto known = std::ranges::find(kReplicaFields, name);
    if (known == kReplicaFields.end() ||
        replica.fields.try_emplace(std::string(name), value).second)
        return std::nullopt;
    return api_error(400, "bad_request", fmt::format("the field {} comes twice", *known));
}

// What the fields say that have come by now. Where the file goes must be known before it comes;
// what it is may be said behind it, as by who computes that while sending.
std::optional<ApiAnswer> read_fields(const UploadMeans& means, Replica& replica) {
    std::string path(replica.field("stored_path"));
    if (path.empty() && !replica.field("relative_path").empty())
        path = fmt::format("{}/{}", replica.field("relative_path"), replica.field("file_name"));
    const bool is_rooted = path.starts_with("original/") || path.starts_with("variants/");
    std::string key = means.key_prefix() + path;
    if (!is_rooted || !storage::is_servable_key(key)) {
        return api_error(400, "bad_request",
                         "stored_path must be a file below original/ or variants/, and stand "
                         "before the file");
    }
    if (replica.file && key != replica.key)
        return api_error(400, "bad_request", "a field behind the file says another path");
    replica.key = std::move(key);
    const auto pool = number_of(replica.field("pool_id"));
    if (!pool) {
        return api_error(400, "bad_request", "pool_id must be a number, and stand before the file");
    }
    replica.pool_id = static_cast<storage::PoolId>(*pool);
    if (const std::string_view size = replica.field("size"); !size.empty()) {
        replica.size = number_of(size);
        if (!replica.size) return api_error(400, "bad_request", "size is no number of bytes");
    }
    if (const std::string_view digest = replica.field("sha256"); !digest.empty()) {
        replica.sha256 = conf::parse_sha256(digest);
        if (!replica.sha256) return api_error(400, "bad_request", "sha256 has not 64 hex digits");
    }
    return std::nullopt;
}

ApiAnswer no_room_for_replica() {
    return api_error(507, "insufficient_storage", "the pool has no room for the file");
}

// Whether the pool can take a file of so many bytes, in the place of the one that this row is of.
// On a disk both are there until the new one has the name.
Result<bool> has_room_for(Intake& intake, const Replica& replica,
                          const std::optional<storage::ObjectRecord>& row, std::uint64_t bytes) {
    const std::uint64_t held = row ? row->size : 0;
    if (!row || bytes > held) {
        const auto fits =
            storage::require_room(*intake.means().catalog, replica.pool.known, bytes - held);
        if (!fits && fits.error().kind == ErrorKind::capped) return false;
        if (!fits) return std::unexpected(fits.error());
    }
    const auto room = intake.room_of(replica.pool);
    if (!room) return std::unexpected(room.error());
    return !room->free_bytes || *room->free_bytes >= bytes;
}

// Why the pool is not where this file belongs, as the catalog says by now.
std::optional<ApiAnswer> misplaced(const storage::Location& place, storage::PoolId pool) {
    if (place.is_deleted) return api_error(409, "conflict", "the image of this file was deleted");
    if (place.row && place.row->pool != pool) {
        return api_error(409, "conflict",
                         "the catalog says that this file lives in another pool: move it");
    }
    if (place.home && *place.home != pool) {
        return api_error(409, "conflict",
                         "the catalog says that the image of this file lives in another pool");
    }
    return std::nullopt;
}

// Blocks, on a worker. Nothing: it is open.
Result<std::optional<ApiAnswer>> open_replica(Intake& intake, Replica& replica) {
    using Problem = std::optional<ApiAnswer>;
    const UploadMeans& means = intake.means();
    const auto pool = means.drivers->find(replica.pool_id);
    if (!pool && means.drivers->name_of(replica.pool_id) == "?")
        return Problem(api_error(404, "not_found", "there is no such pool"));
    if (!pool || !storage::takes_images(pool->known)) {
        return Problem(api_error(503, "service_unavailable", "the pool cannot be used",
                                 "Retry-After: 60\r\n"));
    }
    // Else this would wait for its disk, which nobody can end.
    if (const auto room = intake.room_of(*pool); !room) return std::unexpected(room.error());
    replica.pool = *pool;
    const auto place = means.catalog->locate(replica.key);
    if (!place) return std::unexpected(place.error());
    if (auto problem = misplaced(*place, pool->known.id)) return problem;
    // One that may turn out to be there already needs no room.
    const bool may_be_there =
        place->row && replica.size.value_or(place->row->size) == place->row->size;
    if (!may_be_there) {
        const auto fits = has_room_for(intake, replica, place->row, replica.size.value_or(0));
        if (!fits) return std::unexpected(fits.error());
        if (!*fits) return Problem(no_room_for_replica());
    }
    auto file = intake.spool().hold(pool->driver, replica.key);
    if (!file) return std::unexpected(std::move(file.error()));
    replica.file = std::move(*file);
    return Problem();
}

// Whether the pool has this very content under this name, so that who sent it may delete his own
// (invariant 1): the row says so, and the bytes that are there now, once they are settled. The row
// alone does not say that they are durable: it may be that of a file which was found there, another
// program's or an attempt's that failed before it was synced.
Result<bool> is_there_already(const Replica& replica,
                              const std::optional<storage::ObjectRecord>& row,
                              const conf::Sha256Digest& sha256) {
    const bool is_noted = row && row->size == replica.received && row->sha256 == sha256;
    if (!is_noted) return false;
    const auto there = storage::head_with_digest(*replica.pool.driver, replica.key);
    if (!there && there.error().kind == ErrorKind::not_found) return false;
    if (!there) return std::unexpected(there.error());
    if (there->size != replica.received || there->sha256 != sha256) return false;
    if (auto settled = replica.pool.driver->settle(replica.key); !settled) {
        if (settled.error().kind == ErrorKind::not_found) return false;
        return std::unexpected(std::move(settled.error()));
    }
    return true;
}

// What was stored was refused its row. It goes as what a move leaves behind does: not while a move
// to here may count on it, nor where there is a row by then, or something else. After that look and
// before the removal nobody gets a row for it either: he is refused as this was, until a move
// brings the image here, which waits for the clean, or the image's deletion is forgotten, long
// after.
void clean_refused(const UploadMeans& means, const storage::ObjectRecord& stored) {
    const storage::NewJob job = storage::clean_job(
        {.from = {.image = stored.image, .key = stored.key, .to = stored.pool},
         .leftovers = {{stored.key, storage::stamp_of(stored.size, stored.modified_s)}}},
        std::time(nullptr));
    const auto queued = means.catalog->queue_job(job, std::time(nullptr));
    if (queued && means.queued) means.queued();
    if (!queued)
        conf::log_warn("replica not removed key={} reason=\"{}\"", stored.key, queued.error().text);
}

Result<ApiAnswer> end_replica(Intake& intake, Replica& replica) {
    const UploadMeans& means = intake.means();
    if (auto problem = read_fields(means, replica)) return std::move(*problem);
    if (!replica.sha256 && means.settings.upload.replicate_checksum)
        return api_error(400, "bad_request", "checksum required: send sha256");
    if (replica.size && *replica.size != replica.received) {
        return api_error(400, "bad_request",
                         fmt::format("the file has {} bytes, and size says {}", replica.received,
                                     *replica.size));
    }
    const conf::Sha256Digest sha256 = replica.hash.finish();
    if (replica.sha256 && *replica.sha256 != sha256)
        return api_error(422, "checksum_mismatch", "the file has another SHA-256");
    // Of two that bring the same file, as who tries again while the first try still runs, neither
    // may take for its own what the other one stores, or remove what the other's row is about to
    // name.
    const auto hold = intake.hold_key(replica.key);
    if (!hold) {
        return api_error(503, "service_unavailable", "the same file is just being stored",
                         "Retry-After: 5\r\n");
    }
    const auto place = means.catalog->locate(replica.key);
    if (!place) return std::unexpected(place.error());
    if (auto problem = misplaced(*place, replica.pool.known.id)) return std::move(*problem);
    const auto is_there = is_there_already(replica, place->row, sha256);
    if (!is_there) return std::unexpected(is_there.error());
    if (*is_there) {
        return ApiAnswer{.status = 200,
                         .body = R"({"status":"ok","skipped":true,"reason":"exists"})",
                         .fields = {}};
    }
    const auto fits = has_room_for(intake, replica, place->row, replica.received);
    if (!fits) return std::unexpected(fits.error());
    if (!*fits) return no_room_for_replica();
    storage::Driver& driver = *replica.pool.driver;
    const auto replaces = place->row ? true : storage::exists(driver, replica.key);
    if (!replaces) return std::unexpected(replaces.error());
    storage::PutOptions options{.size = replica.received, .sha256 = sha256};
    options.content_type = transform::content_type_of(replica.beginning);
    options.cache_control = means.cache_control(replica.key, options.content_type);
    const auto info = replica.file->keep(options);
    if (!info) return std::unexpected(info.error());
    storage::ObjectRecord stored = storage::object_record(replica.key, replica.pool.known.id, *info,
                                                          options.content_type, std::time(nullptr));
    stored.sha256 = sha256;
    const auto noted = means.catalog->put_in_place(stored);
    if (!noted) {
        // After any other failure the row may be there all the same, so the bytes stay. Without one
        // they are replaced by the next try, or found by reconcile.
        if (noted.error().kind == ErrorKind::conflict) clean_refused(means, stored);
        return std::unexpected(noted.error());
    }
    if (*replaces) storage::remove_replaced(driver, *info);
    if (means.changed) means.changed({replica.key});
    return ApiAnswer{.status = 200, .body = R"({"status":"ok"})", .fields = {}};
}

ApiAnswer replica_failed(const Error& error, std::string_view key) {
    conf::log_error("replication failed key={} reason=\"{}\"", key, error.text);
    if (error.kind == ErrorKind::capped) return no_room_for_replica();
    if (error.kind == ErrorKind::conflict)
        return api_error(409, "conflict", "something else has that name");
    return api_error(503, "service_unavailable", "the file cannot be stored right now",
                     "Retry-After: 5\r\n");
}

Result<void> write_replica(Intake& intake, Replica& replica) {
    const auto turn = intake.stand_back();
    replica.hash.update(replica.chunk);
    const int failed = conf::write_all(replica.file->fd(), replica.chunk);
    replica.chunk.clear();
    if (failed != 0) return fail_errno(failed, "write the replica");
    return {};
}

loop::Task<ApiAnswer> receive_replica(Intake& intake, loop::Loop& loop, FormStream& form,
                                      Replica& replica) {
    const UploadMeans& means = intake.means();
    while (true) {
        auto item = co_await form.next();
        if (!item) co_return std::move(item.error());
        switch (item->kind) {
            case FormStream::Kind::field:
                if (auto problem = keep_field(replica, form.head().name, item->content))
                    co_return std::move(*problem);
                break;
            case FormStream::Kind::file: {
                if (form.head().name != "file" || replica.file)
                    co_return api_error(400, "bad_request", "expected one file, called \"file\"");
                if (auto problem = read_fields(means, replica)) co_return std::move(*problem);
                replica.writers = &intake.workers_of(replica.pool_id);
                auto opened = co_await loop::offload(loop, *replica.writers, loop::Lane::bulk,
                                                     [&] { return open_replica(intake, replica); });
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
                const auto written =
                    co_await loop::offload(loop, *replica.writers, loop::Lane::bulk,
                                           [&] { return write_replica(intake, replica); });
                if (!written) co_return replica_failed(written.error(), replica.key);
                break;
            }
            case FormStream::Kind::end: {
                if (!replica.file) co_return api_error(400, "bad_request", "the form has no file");
                auto ended = co_await loop::offload(
                    loop, *replica.writers, loop::Lane::bulk, [&]() -> Result<ApiAnswer> {
                        if (auto written = write_replica(intake, replica); !written)
                            return std::unexpected(written.error());
                        return end_replica(intake, replica);
                    });
                if (!ended) co_return replica_failed(ended.error(), replica.key);
                co_return std::move(*ended);
            }
        }
    }
}

}  // namespace

loop::Task<ApiAnswer> replicate(Intake& intake, loop::Loop& loop, const http::RequestHead& head,
                                http::BodyStream& body) {
    const UploadMeans& means = intake.means();
    if (!knows_secret(means.settings.upload.replicate_secret, head))
        co_return api_error(401, "unauthorized", "send the secret of upload.replicate_secret");
    auto form = FormStream::of(head, body);
    if (!form)
        co_return api_error(400, "bad_request", "expected multipart/form-data with a boundary");
    Replica replica;
    ApiAnswer answer = co_await receive_replica(intake, loop, *form, replica);
    if (replica.file) {
        // Its end is its disk's, too. Where that cannot be had any more it ends with this.
        const auto ended = co_await loop::offload(loop, *replica.writers, loop::Lane::bulk,
                                                  [&replica]() -> Result<void> {
                                                      replica.file.reset();
                                                      return {};
                                                  });
        if (!ended) conf::log_debug("replica ended on its loop reason=\"{}\"", ended.error().text);
    }
    co_return answer;
}

}  // namespace tidepool::upload
