#include "proxy/upload/tus_uploads.h"

#include "conf/ascii.h"
#include "conf/digest.h"
#include "conf/fault_point.h"
#include "conf/log.h"
#include "proxy/api/api_key.h"
#include "proxy/http/date.h"
#include "proxy/upload/accepted_type.h"
#include "proxy/upload/bearer.h"
#include "proxy/upload/new_image.h"
#include "proxy/upload/rates.h"
#include "proxy/upload/running_checksum.h"
#include "proxy/upload/tus_headers.h"
#include "proxy/upload/upload_answers.h"
#include "proxy/upload/upload_token.h"
#include "storage/mover.h"
#include "storage/resumable_uploads.h"
#include "transform/content_type.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;

constexpr std::string_view kTusVersion = "1.0.0";
constexpr std::string_view kTusExtensions =
    "creation,creation-with-upload,expiration,checksum,termination";
constexpr std::string_view kTusContentType = "application/offset+octet-stream";
constexpr std::string_view kImagePath = "/api/v1/images/";
// What is collected before it is written: the memory of a request.
constexpr std::size_t kTusChunkBytes = 256ULL * 1024;

// "" where the path names no upload.
std::string_view tus_id_of(std::string_view path) {
    return path.size() > kTusPath.size() ? path.substr(kTusPath.size() + 1) : std::string_view();
}

ApiAnswer bad_tus(std::string_view why) {
    return api_error(400, "bad_request", why);
}

ApiAnswer tus_not_found() {
    return api_error(404, "not_found", "there is no such upload");
}

ApiAnswer tus_gone() {
    return api_error(410, "gone", "the upload has ended");
}

ApiAnswer tus_locked() {
    return api_error(423, "locked", "another request is writing to the upload",
                     "Retry-After: 1\r\n");
}

ApiAnswer tus_unauthorized() {
    return api_error(401, "unauthorized", "send the upload's token: Authorization: Bearer");
}

std::string_view as_characters(const conf::Sha256Digest& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

bool is_tus_content(const http::RequestHead& head) {
    return conf::lower_case(head.single("Content-Type")) == kTusContentType;
}

}  // namespace

// One request, on its loop.
class TusUploads::Request {
  public:
    Request(TusUploads& all, loop::Loop& loop, const http::RequestHead& head, std::string client,
            http::BodyStream* body)
        : all_(all), loop_(loop), head_(head), client_(std::move(client)), body_(body) {}

    // POST (tus 1.0, Creation and Creation With Upload).
    loop::Task<ApiAnswer> create() {
        if (auto problem = read_creation()) co_return std::move(*problem);
        const auto running = all_.intake_.begin();
        if (!running) co_return try_again("too many uploads run");
        const auto owned = all_.intake_.begin_of(upload_.owner);
        if (!owned) co_return too_many_of_owner();
        auto problem = co_await on_worker(&Request::begin);
        if (problem) co_return std::move(*problem);
        ApiAnswer answer{.status = 201, .body = {}, .fields = {}};
        if (body_ != nullptr) {
            answer = co_await take();
            // Nobody knows where it is yet.
            if (answer.status >= 400 && file_) co_await forget();
            if (answer.status >= 400) co_return answer;
            answer.status = 201;
        } else {
            answer.fields = progress();
        }
        answer.fields +=
            fmt::format("Location: {}{}/{}\r\n",
                        all_.intake_.means().settings.upload.public_base_url, kTusPath, upload_.id);
        co_return answer;
    }

    // HEAD (tus 1.0, Core protocol). What is all there and no image yet, as we were killed or the
    // bucket did not answer, becomes one now: its client has nothing more to send.
    loop::Task<ApiAnswer> describe() {
        auto problem = co_await on_worker(&Request::look);
        if (problem) co_return std::move(*problem);
        if (!upload_.image && size_ == upload_.length) {
            const auto running = all_.intake_.begin();
            if (!running) co_return try_again("too many uploads run");
            problem = co_await on_worker(&Request::hold);
            if (problem) co_return std::move(*problem);
            if (!upload_.image) {
                ApiAnswer ended = co_await finish();
                if (ended.status >= 400) co_return ended;
            }
        }
        std::string fields = progress() + fmt::format("Upload-Length: {}\r\n", upload_.length);
        if (!upload_.metadata.empty())
            fields += fmt::format("Upload-Metadata: {}\r\n", upload_.metadata);
        co_return ApiAnswer{.status = 200, .body = {}, .fields = std::move(fields)};
    }

    // PATCH (tus 1.0, Core protocol and Checksum).
    loop::Task<ApiAnswer> append() {
        if (!is_tus_content(head_))
            co_return unsupported(fmt::format("expected Content-Type: {}", kTusContentType));
        const auto offset = parse_tus_number(head_.single("Upload-Offset"));
        if (!offset) co_return bad_tus("expected Upload-Offset: BYTES");
        if (auto problem = read_checksum()) co_return std::move(*problem);
        const auto running = all_.intake_.begin();
        if (!running) co_return try_again("too many uploads run");
        auto problem = co_await on_worker(&Request::hold);
        if (problem) co_return std::move(*problem);
        const auto owned = all_.intake_.begin_of(upload_.owner);
        if (!owned) co_return too_many_of_owner();
        if (upload_.image) co_return co_await repeat(*offset);
        if (*offset != size_) co_return wrong_offset();
        problem = co_await on_worker(&Request::look_for_room);
        if (problem) co_return std::move(*problem);
        co_return co_await take();
    }

    // DELETE (tus 1.0, Termination). The image stays of one that has become one.
    loop::Task<ApiAnswer> end() {
        auto problem = co_await on_worker(&Request::hold);
        if (problem) co_return std::move(*problem);
        const bool is_ended = co_await forget();
        if (!is_ended) co_return try_again("the upload cannot be ended right now");
        co_return ApiAnswer{.status = 204, .body = {}, .fields = {}};
    }

  private:
    // Awaits one of the calls below that block.
    loop::Task<Problem> on_worker(Result<Problem> (Request::*call)()) {
        auto done = co_await loop::offload(loop_, all_.intake_.workers(), loop::Lane::bulk,
                                           [this, call] { return (this->*call)(); });
        if (!done) co_return failure_of(done.error(), name());
        co_return std::move(*done);
    }

    std::string name() const { return fmt::format("tus/{}", upload_.id); }

    Problem read_checksum() {
        const std::string_view text = head_.single("Upload-Checksum");
        if (text.empty()) return std::nullopt;
        auto checksum = parse_tus_checksum(text);
        if (!checksum)
            return bad_tus(fmt::format("expected Upload-Checksum: ALGORITHM BASE64, of one of {}",
                                       kTusAlgorithms));
        checksum_.emplace(std::move(*checksum));
        return std::nullopt;
    }

    // What the head of a POST says, into `upload_`.
    Problem read_creation() {
        const conf::UploadSettings& settings = all_.intake_.means().settings.upload;
        const std::string_view bearer = bearer_of(head_);
        if (bearer.empty())
            return api_error(401, "unauthorized", "send a token: Authorization: Bearer");
        const std::int64_t now_s = std::time(nullptr);
        const std::array secrets{settings.token_secret, settings.token_secret_previous};
        const auto token = verify(bearer, secrets, now_s);
        if (!token) return api_error(401, "unauthorized", token.error().text);
        const std::uint64_t now_ms = loop_.now_ms();
        if (auto problem = refuse_holder(all_.limiter_, {"uploads", settings.rate_per_key, now_ms},
                                         token->user))
            return problem;
        if (auto problem = refuse_address(all_.limiter_,
                                          {"uploads", settings.rate_per_address, now_ms}, client_))
            return problem;
        if (!head_.single("Upload-Concat").empty())
            return bad_tus("uploads are not put together from others: send one");
        const auto length = parse_tus_number(head_.single("Upload-Length"));
        if (!length) return bad_tus("expected Upload-Length: BYTES, which cannot come later");
        if (*length == 0) return bad_tus("the file is empty");
        const std::string_view metadata = head_.single("Upload-Metadata");
        auto file_name = file_name_in(metadata);
        if (!file_name) return bad_tus(file_name.error().text);
        if (file_name->empty()) return bad_tus("expected Upload-Metadata: filename BASE64");
        if (accepted_type(*file_name) == nullptr) return unsupported_name();
        if (body_ != nullptr && !is_tus_content(head_))
            return unsupported(fmt::format("expected Content-Type: {}", kTusContentType));
        if (auto problem = read_checksum()) return problem;
        const std::uint64_t most = std::min(token->max_bytes, settings.max_size_bytes);
        if (*length > most) return too_large(most);
        const auto lifetime =
            std::chrono::duration_cast<std::chrono::seconds>(settings.resumable_lifetime);
        upload_ = {.id = storage::new_resumable_id(),
                   .token = conf::sha256(bearer),
                   .owner = token->user,
                   .pool = token->pool,
                   .length = *length,
                   .metadata = std::string(metadata),
                   .expires_s = now_s + lifetime.count()};
        return std::nullopt;
    }

    // --- these block, on a worker ---

    // Room for it, a file, and its row, in this order: what a crash leaves is found.
    Result<Problem> begin() {
        const UploadMeans& means = all_.intake_.means();
        const auto pool = means.drivers->find(upload_.pool);
        if (!pool || !storage::takes_images(pool->known))
            return Problem(bad_tus("the token's pool takes no uploads"));
        const auto room = all_.intake_.room_of(*pool);
        if (!room) return std::unexpected(room.error());
        const auto kept =
            all_.intake_.spool_room().hold_resumable(*means.catalog, upload_.owner, upload_.length);
        if (!kept) return std::unexpected(kept.error());
        if (!*kept) return Problem(spool_full(kept->error()));
        if (auto created = all_.spool_.create(upload_.id); !created)
            return std::unexpected(std::move(created.error()));
        fault_point("tus.created");
        const auto quota = api::quota_of(*means.catalog, upload_.owner, std::time(nullptr));
        if (!quota) return std::unexpected(quota.error());
        const auto begun = means.catalog->begin_resumable(upload_, *room, {.quota_bytes = *quota});
        using Outcome = storage::Reservation::Outcome;
        if (!begun || begun->outcome != Outcome::reserved) {
            remove_bytes();
            if (!begun) return std::unexpected(begun.error());
            if (begun->outcome == Outcome::too_many) {
                return Problem(api_error(429, "too_many_requests",
                                         "this token has too many uploads that have not ended",
                                         "Retry-After: 60\r\n"));
            }
            if (begun->outcome == Outcome::over_quota)
                return Problem(quota_exceeded(begun->quota_left, upload_.length));
            return Problem(api_error(500, "no_storage_pool", "the pool has no room for the file"));
        }
        upload_.upload = begun->upload.id;
        upload_.details = begun->upload.details;
        if (body_ == nullptr) return Problem();
        auto file = all_.spool_.open(upload_.id);
        if (!file) return std::unexpected(std::move(file.error()));
        file_ = std::move(*file);
        return Problem();
    }

    // The upload that the path names, for the holder of its token. That may have run out: the
    // upload's own time counts.
    Result<Problem> find() {
        const std::string_view bearer = bearer_of(head_);
        if (bearer.empty()) return Problem(tus_unauthorized());
        const std::string_view id = tus_id_of(head_.path);
        if (!storage::is_resumable_id(id)) return Problem(tus_not_found());
        auto found = all_.intake_.means().catalog->find_resumable(id);
        if (!found) return std::unexpected(std::move(found.error()));
        if (!*found) return Problem(tus_not_found());
        const conf::Sha256Digest digest = conf::sha256(bearer);
        if (!conf::equal_in_constant_time(as_characters(digest), as_characters((*found)->token)))
            return Problem(tus_unauthorized());
        if (std::time(nullptr) >= (*found)->expires_s) return Problem(tus_gone());
        upload_ = std::move(**found);
        if (upload_.image) {
            size_ = upload_.length;
            remove_bytes();  // which are still there where we were killed just then
        }
        return Problem();
    }

    // How much of it is there.
    Result<Problem> look() {
        if (auto problem = find(); !problem || *problem || upload_.image) return problem;
        const auto size = all_.spool_.durable_size(upload_.id);
        if (!size) return lost(size.error());
        size_ = *size;
        return Problem();
    }

    // The same, and from now on nobody else writes to it.
    Result<Problem> hold() {
        if (auto problem = find(); !problem || *problem || upload_.image) return problem;
        auto file = all_.spool_.open(upload_.id);
        if (!file) return lost(file.error());
        // Whoever held it before may have ended it.
        if (auto problem = find(); !problem || *problem || upload_.image) return problem;
        const auto size = file->size();
        if (!size) return std::unexpected(size.error());
        size_ = *size;
        file_ = std::move(*file);
        return Problem();
    }

    // The disk may be full of other things by now.
    Result<Problem> look_for_room() {
        const std::uint64_t copies = checksum_ ? 2 : 1;
        const auto is_free = all_.intake_.spool_room().has_free(
            copies * std::min(head_.content_length, upload_.length));
        if (!is_free) return std::unexpected(is_free.error());
        if (!*is_free) return Problem(spool_full(SpoolRoom::Full::of_all));
        return Problem();
    }

    // Why its file cannot be had: it has become an image just now, or another request has it.
    Result<Problem> lost(const Error& error) {
        if (error.kind == ErrorKind::busy) return Problem(tus_locked());
        if (error.kind != ErrorKind::not_found) return std::unexpected(error);
        if (auto problem = find(); !problem || *problem || upload_.image) return problem;
        return Problem(tus_gone());
    }

    // What was collected goes to the file, or beside it until its checksum is known.
    Result<Problem> write() {
        if (checksum_) {
            checksum_->update(chunk_);
            if (!unchecked_) {
                auto file = all_.spool_.unnamed();
                if (!file) return std::unexpected(std::move(file.error()));
                unchecked_ = std::move(*file);
            }
        }
        storage::ResumableFile& target = checksum_ ? unchecked_ : file_;
        if (auto written = target.append(chunk_); !written)
            return std::unexpected(std::move(written.error()));
        chunk_.clear();
        return checksum_ ? Problem() : look_at_beginning();
    }

    // A chunk has ended as it should: what came of it counts.
    Result<Problem> settle() {
        if (auto problem = write(); !problem || *problem) return problem;
        if (checksum_) {
            if (!checksum_->fits()) {
                return Problem(api_error(460, "checksum_mismatch",
                                         "the chunk's checksum is another", progress()));
            }
            if (auto added = file_.append_all_of(unchecked_.fd()); !added)
                return std::unexpected(std::move(added.error()));
            unchecked_ = storage::ResumableFile();
        }
        return keep();
    }

    // A chunk has broken off: what came of it stays, unless its checksum would have to prove it.
    Result<Problem> save() {
        if (checksum_) return Problem();
        if (auto problem = write(); !problem || *problem) return problem;
        return keep();
    }

    Result<Problem> keep() {
        if (auto synced = file_.sync(); !synced) {
            // The kernel says so once, and takes what it could not write for written then.
            if (!file_.cut(size_)) remove_bytes();
            return std::unexpected(std::move(synced.error()));
        }
        const auto size = file_.size();
        if (!size) return std::unexpected(size.error());
        size_ = *size;
        fault_point("tus.appended");
        return look_at_beginning();
    }

    // There was more than the upload was said to have: as if nothing of the chunk had come.
    Result<Problem> take_back() {
        if (auto cut = file_.cut(size_); !cut) return std::unexpected(std::move(cut.error()));
        return Problem();
    }

    // As soon as there is enough to look at; what is no image need not come whole.
    Result<Problem> look_at_beginning() {
        if (is_looked_at_) return Problem();
        const auto size = file_.size();
        if (!size) return std::unexpected(size.error());
        if (*size < std::min<std::uint64_t>(transform::kSniffBytes, upload_.length))
            return Problem();
        std::array<char, transform::kSniffBytes> beginning{};
        const auto got = storage::read_at(file_.fd(), 0, beginning);
        if (!got) return std::unexpected(got.error());
        is_looked_at_ = true;
        return NewImage::look_at_beginning(std::span(beginning).first(*got), *accepted());
    }

    // All of it to where the image will be.
    Result<Problem> fill(NewImage& image) {
        if (auto problem = look_at_beginning(); !problem || *problem) return problem;
        if (auto problem = image.open(); !problem || *problem) return problem;
        std::vector<char> buffer(kTusChunkBytes);
        std::uint64_t offset = 0;
        while (true) {
            const auto got = storage::read_at(file_.fd(), offset, buffer);
            if (!got) return std::unexpected(got.error());
            if (*got == 0) return Problem();
            if (auto written = image.write(std::span(buffer).first(*got)); !written)
                return std::unexpected(std::move(written.error()));
            offset += *got;
        }
    }

    // --- on the loop ---

    // The body, from where the upload stands.
    loop::Task<ApiAnswer> take() {
        const std::uint64_t room = upload_.length - size_;
        if (!head_.chunked && head_.content_length > room) co_return beyond_length();
        std::uint64_t came = 0;
        while (body_ != nullptr) {
            const auto piece = co_await body_->next();
            if (!piece) {
                auto problem = co_await on_worker(&Request::save);
                if (problem && is_refusal(problem->status)) co_await forget();
                co_return broken_off(piece.error());
            }
            if (piece->empty()) break;
            came += piece->size();
            if (came > room) {
                auto problem = co_await on_worker(&Request::take_back);
                co_return problem ? std::move(*problem) : beyond_length();
            }
            auto problem = co_await collect(*piece);
            if (problem) co_return co_await refuse(std::move(*problem));
        }
        auto problem = co_await on_worker(&Request::settle);
        if (problem) co_return co_await refuse(std::move(*problem));
        if (size_ == upload_.length) co_return co_await finish();
        co_return ApiAnswer{.status = 204, .body = {}, .fields = progress()};
    }

    loop::Task<Problem> collect(std::string_view piece) {
        chunk_.reserve(kTusChunkBytes);
        while (!piece.empty()) {
            const std::string_view fits = piece.substr(0, kTusChunkBytes - chunk_.size());
            chunk_.insert(chunk_.end(), fits.begin(), fits.end());
            piece.remove_prefix(fits.size());
            if (chunk_.size() < kTusChunkBytes) continue;
            auto problem = co_await on_worker(&Request::write);
            if (problem) co_return problem;
        }
        co_return std::nullopt;
    }

    // It is all there: it becomes an image as a form's file does.
    loop::Task<ApiAnswer> finish() {
        const auto file_name = file_name_in(upload_.metadata);
        NewImage image(all_.intake_, loop_,
                       FileOffer{.owner = upload_.owner,
                                 .pool = upload_.pool,
                                 .most_bytes = upload_.length,
                                 .accepted = accepted(),
                                 .file_name = file_name.value_or(std::string()),
                                 .reservation = upload_.upload,
                                 .session_until_s = upload_.expires_s,
                                 .details = upload_.details});
        auto filled = co_await loop::offload(loop_, all_.intake_.workers_of(upload_.pool),
                                             loop::Lane::bulk, [&] { return fill(image); });
        ApiAnswer answer;
        if (!filled) {
            answer = failure_of(filled.error(), image.key());
        } else if (*filled) {
            answer = std::move(**filled);
        } else {
            answer = co_await image.finish();
        }
        co_await image.drop();
        if (answer.status >= 400) co_return co_await refuse(std::move(answer));
        upload_.image = image.image();
        auto problem = co_await on_worker(&Request::note_image);
        if (problem) co_return std::move(*problem);
        co_return ApiAnswer{.status = 204, .body = {}, .fields = progress()};
    }

    // What it has become, first; its bytes are of no more use then. Where we are killed before
    // that, it becomes the same image again: its owner has one of that content.
    Result<Problem> note_image() {
        fault_point("tus.stored");
        auto noted = all_.intake_.means().catalog->end_resumable(upload_.id, *upload_.image);
        if (!noted) return std::unexpected(std::move(noted.error()));
        fault_point("tus.noted");
        remove_bytes();
        return Problem();
    }

    // What stays of them now goes when the upload's time has passed.
    void remove_bytes() {
        if (auto removed = all_.spool_.remove(upload_.id); !removed) {
            conf::log_warn("piece of an upload not removed id={} reason=\"{}\"", upload_.id,
                           removed.error().text);
        }
    }

    // The last PATCH once more, as its answer was lost: what comes is not needed.
    loop::Task<ApiAnswer> repeat(std::uint64_t offset) {
        const bool is_last = offset == upload_.length || head_.chunked ||
                             offset + head_.content_length == upload_.length;
        if (!is_last) co_return wrong_offset();
        std::uint64_t came = 0;
        while (body_ != nullptr) {
            const auto piece = co_await body_->next();
            if (!piece) co_return broken_off(piece.error());
            came += piece->size();
            if (piece->empty() || came > upload_.length) break;
        }
        co_return ApiAnswer{.status = 204, .body = {}, .fields = progress()};
    }

    // What the file itself is refused for ends the upload; what may pass does not.
    static bool is_refusal(int status) { return status == 415 || status == 400; }

    loop::Task<ApiAnswer> refuse(ApiAnswer answer) {
        if (is_refusal(answer.status)) co_await forget();
        co_return answer;
    }

    // Bytes, row and reservation; false where that could not be done.
    loop::Task<bool> forget() {
        const auto dropped =
            co_await loop::offload(loop_, all_.intake_.workers(), loop::Lane::bulk, [this] {
                return storage::drop_resumable(*all_.intake_.means().catalog, all_.spool_,
                                               upload_.id);
            });
        if (!dropped) {
            conf::log_warn("upload not dropped key={} reason=\"{}\"", name(), dropped.error().text);
        }
        co_return dropped.has_value();
    }

    ApiAnswer wrong_offset() const {
        return api_error(409, "conflict",
                         fmt::format("the upload stands at {} of {} bytes", size_, upload_.length),
                         progress());
    }

    ApiAnswer beyond_length() const {
        return api_error(413, "payload_too_large",
                         fmt::format("the upload has {} bytes", upload_.length), progress());
    }

    // Where it stands, as header lines.
    std::string progress() const {
        std::string fields = fmt::format("Upload-Offset: {}\r\nUpload-Expires: {}\r\n", size_,
                                         http::format_date(upload_.expires_s));
        if (upload_.image) {
            const std::string uuid = storage::to_text(*upload_.image);
            fields += fmt::format("Content-Location: {}{}\r\nUpload-Image: {}\r\n", kImagePath,
                                  uuid, uuid);
        }
        return fields;
    }

    // Of a name that was accepted when it began.
    const AcceptedType* accepted() const {
        return accepted_type(file_name_in(upload_.metadata).value_or(std::string()));
    }

    TusUploads& all_;
    loop::Loop& loop_;
    const http::RequestHead& head_;
    const std::string client_;
    http::BodyStream* const body_;
    storage::ResumableUpload upload_;
    std::uint64_t size_ = 0;  // of it that is durable
    storage::ResumableFile file_;
    storage::ResumableFile unchecked_;
    std::optional<RunningChecksum> checksum_;
    std::vector<char> chunk_;
    bool is_looked_at_ = false;
};

TusUploads::TusUploads(Intake& intake, serve::RateLimiter& limiter)
    : intake_(intake), limiter_(limiter), spool_(intake.means().settings.upload.spool_path) {}

bool TusUploads::owns(std::string_view path) {
    return path == kTusPath || (path.starts_with(kTusPath) && path.size() > kTusPath.size() + 1 &&
                                path[kTusPath.size()] == '/');
}

std::string_view TusUploads::methods_of(std::string_view path) {
    return path == kTusPath ? "POST" : "HEAD, PATCH, DELETE";
}

bool TusUploads::wants_stream(const http::RequestHead& head) {
    return owns(head.path) && method_of(head) == (head.path == kTusPath ? "POST" : "PATCH");
}

std::string_view TusUploads::method_of(const http::RequestHead& head) {
    if (head.method_text != "POST" || !owns(head.path)) return head.method_text;
    const std::string_view said = head.single("X-HTTP-Method-Override");
    return said.empty() ? head.method_text : said;
}

std::string TusUploads::discovery() const {
    return fmt::format(
        "Tus-Resumable: {0}\r\nTus-Version: {0}\r\nTus-Extension: {1}\r\nTus-Max-Size: {2}\r\n"
        "Tus-Checksum-Algorithm: {3}\r\n",
        kTusVersion, kTusExtensions, intake_.means().settings.upload.max_size_bytes,
        kTusAlgorithms);
}

loop::Task<ApiAnswer> TusUploads::respond(loop::Loop& loop, const http::RequestHead& head,
                                          std::string client, http::BodyStream* body) {
    ApiAnswer answer;
    const std::string_view method = method_of(head);
    Request request(*this, loop, head, std::move(client), body);
    if (head.single("Tus-Resumable") != kTusVersion) {
        answer = api_error(412, "precondition_failed", "expected Tus-Resumable: 1.0.0",
                           fmt::format("Tus-Version: {}\r\n", kTusVersion));
    } else if (method == "POST") {
        answer = co_await request.create();
    } else if (method == "PATCH") {
        answer = co_await request.append();
    } else if (method == "DELETE") {
        answer = co_await request.end();
    } else {
        answer = co_await request.describe();
    }
    if (method == "POST" || method == "PATCH") intake_.count_end(answer.status);
    answer.fields += fmt::format("Tus-Resumable: {}\r\n", kTusVersion);
    co_return answer;
}

}  // namespace tidepool::upload
