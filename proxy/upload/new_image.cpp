#include "proxy/upload/new_image.h"

#include "conf/descriptor.h"
#include "conf/fault_point.h"
#include "conf/log.h"
#include "conf/random_name.h"
#include "proxy/api/api_key.h"
#include "proxy/upload/processing.h"
#include "proxy/upload/stored_content.h"
#include "proxy/upload/upload_answers.h"
#include "storage/abandoned_uploads.h"
#include "storage/mover.h"
#include "transform/content_type.h"
#include "transform/strip_metadata.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string_view>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;

// RFC 9562, 5.4.
storage::Uuid new_uuid() {
    const auto random = conf::parse_hex(conf::random_name() + conf::random_name());
    storage::Uuid uuid{};
    std::ranges::copy(*random, uuid.begin());
    uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0F) | 0x40);
    uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3F) | 0x80);
    return uuid;
}

}  // namespace

Result<Problem> NewImage::open() {
    const UploadMeans& means = intake_.means();
    const auto pool = means.drivers->find(offer_.pool);
    if (!pool || !storage::takes_images(pool->known))
        return Problem(api_error(400, "bad_request", "the token's pool takes no uploads"));
    auto place = intake_.begin_in(pool->known);
    if (!place) return Problem(try_again("too many uploads to the pool run"));
    place_.emplace(std::move(*place));
    // Else this would wait for its disk, which nobody can end.
    const auto room = intake_.room_of(*pool);
    if (!room) return std::unexpected(room.error());
    driver_ = pool->driver;
    strips_metadata_ = pool->known.settings.strip_metadata;
    const std::int64_t now_s = std::time(nullptr);
    uuid_ = new_uuid();
    key_ = fmt::format("{}original/{:%Y/%m/%d}/{}.{}", means.key_prefix(), fmt::gmtime(now_s),
                       storage::to_text(uuid_), offer_.accepted->extension);
    storage::UploadRecord upload{.id = offer_.reservation,
                                 .pool = offer_.pool,
                                 .owner = offer_.owner,
                                 .bytes = offer_.most_bytes,
                                 .token = offer_.token,
                                 .expires_s = now_s + Intake::kLeaseS,
                                 .image = uuid_,
                                 .key = key_,
                                 .process = intake_.process()};
    auto session = means.catalog->begin_upload(upload);
    if (!session) return std::unexpected(std::move(session.error()));
    if (*session) {
        offer_.details = (*session)->details;
        reservation_ = std::move(**session);
    } else {
        if (auto problem = reserve(std::move(upload), *room); !problem || *problem) return problem;
    }
    held_.emplace(intake_, reservation_->id);
    fault_point("upload.begun");
    auto file = intake_.spool().stage(driver_, key_);
    if (!file) return std::unexpected(std::move(file.error()));
    file_ = std::move(*file);
    return Problem();
}

// Of a token that was not issued here, or is used once more.
Result<Problem> NewImage::reserve(storage::UploadRecord upload, const storage::PoolRoom& room) {
    upload.token.reset();
    offer_.session_until_s = 0;  // there is none to give back
    storage::Catalog& catalog = *intake_.means().catalog;
    const auto quota = api::quota_of(catalog, offer_.owner, std::time(nullptr));
    if (!quota) return std::unexpected(quota.error());
    auto reserved =
        catalog.reserve_upload(upload, {&room, 1}, {.quota_bytes = *quota}, std::time(nullptr));
    if (!reserved) return std::unexpected(std::move(reserved.error()));
    if (reserved->outcome == storage::Reservation::Outcome::over_quota)
        return Problem(quota_exceeded(reserved->quota_left, offer_.most_bytes));
    if (reserved->outcome != storage::Reservation::Outcome::reserved)
        return Problem(api_error(500, "no_storage_pool", "the pool has no room for the file"));
    reservation_ = std::move(reserved->upload);
    return Problem();
}

Result<void> NewImage::write(std::span<const char> bytes) {
    const auto turn = intake_.stand_back();
    hash_.update(bytes);
    return append(bytes);
}

Result<void> NewImage::append(std::span<const char> bytes) {
    if (const int failed = conf::write_all(file_->fd(), bytes); failed != 0) {
        auto error = fail_errno(failed, "write the upload");
        if (failed == ENOSPC || failed == EDQUOT) error.error().kind = ErrorKind::capped;
        return error;
    }
    size_ += bytes.size();
    return {};
}

Problem NewImage::look_at_beginning(std::span<const char> bytes, const AcceptedType& accepted) {
    if (transform::content_type_of(bytes) == accepted.type) return std::nullopt;
    return unsupported(
        fmt::format("the file is called .{} and is no {}", accepted.extension, accepted.type));
}

loop::Task<ApiAnswer> NewImage::finish() {
    using File = std::shared_ptr<const storage::OpenFile>;
    auto opened =
        co_await loop::offload(loop_, writers_, loop::Lane::bulk,
                               [this]() -> Result<File> { return read_only_file(file_->fd()); });
    if (!opened) co_return failure_of(opened.error(), key_);
    if (auto problem = co_await inspect(std::move(*opened))) co_return std::move(*problem);
    auto stored = co_await loop::offload(loop_, writers_, loop::Lane::bulk, [this] {
        auto answer = store();
        file_.reset();
        return answer;
    });
    if (stored) co_return std::move(*stored);
    // What its metadata is cannot be told, so it cannot be taken out.
    const bool is_odd = stored.error().kind == ErrorKind::corrupt && !stored.error().store;
    if (is_odd) co_return unsupported(stored.error().text);
    co_return failure_of(stored.error(), key_);
}

loop::Task<> NewImage::drop() {
    if (!file_ && (!reservation_ || is_ended_)) co_return;
    const auto dropped =
        co_await loop::offload(loop_, writers_, loop::Lane::bulk, [this]() -> Result<void> {
            file_.reset();
            if (!reservation_ || is_ended_) return {};
            return intake_.means().catalog->give_back_upload(reservation_->id,
                                                             offer_.session_until_s);
        });
    is_ended_ = true;
    // Nobody renews it any more, so it is cleaned.
    if (!dropped)
        conf::log_warn("upload not dropped key={} reason=\"{}\"", key_, dropped.error().text);
}

// In the sandbox: whether it is a whole image and nothing else, its size, and whether it is one
// that we could ever decode.
loop::Task<Problem> NewImage::inspect(std::shared_ptr<const storage::OpenFile> file) {
    const auto inspection = co_await intake_.means().variants->inspect(
        loop_, std::move(file), transform::InspectDepth::structure);
    if (inspection) {
        facts_ = facts_of(*inspection, !strips_metadata_);
        const unsigned most = intake_.means().settings.upload.max_side;
        if (facts_.width <= most && facts_.height <= most) co_return std::nullopt;
        co_return unsupported(fmt::format("the image has {} x {} pixels, and a side may have {}",
                                          facts_.width, facts_.height, most));
    }
    const Error& error = inspection.error();
    if (error.kind == ErrorKind::corrupt || error.kind == ErrorKind::too_large)
        co_return unsupported(fmt::format("the image cannot be used: {}", error.text));
    co_return failure_of(error, key_);
}

// Blocks, on a worker.
Result<ApiAnswer> NewImage::store() {
    const UploadMeans& means = intake_.means();
    storage::Catalog& catalog = *means.catalog;
    const conf::Sha256Digest sent = hash_.finish();
    const auto owned = catalog.find_owned(offer_.owner, sent);
    if (!owned) return std::unexpected(owned.error());
    if (*owned) {
        auto duplicate = answer_duplicate(**owned);
        if (!duplicate) return std::unexpected(std::move(duplicate.error()));
        if (*duplicate) return std::move(**duplicate);
    }
    conf::Sha256Digest sha256 = sent;
    if (strips_metadata_) {
        const auto stripped = strip();
        if (!stripped) return std::unexpected(stripped.error());
        if (*stripped) sha256 = **stripped;
    }

    const std::int64_t now_s = std::time(nullptr);
    storage::PutOptions options{
        .size = size_, .sha256 = sha256, .content_type = std::string(offer_.accepted->type)};
    options.cache_control = means.cache_control(key_, options.content_type);
    const auto info = keep(options);
    if (!info) return std::unexpected(info.error());
    fault_point("upload.stored");
    storage::ObjectRecord original =
        storage::object_record(key_, reservation_->pool, *info, options.content_type, now_s);
    original.sha256 = sha256;
    const Order order = order_of(offer_.details);
    facts_.file_name = offer_.file_name;
    facts_.app = order.app;
    const bool has_work = order.makes_variants && has_variants_at_upload(means.settings, key_);
    using State = storage::ImageRecord::State;
    const storage::ImageRecord image{.uuid = uuid_,
                                     .pool = reservation_->pool,
                                     .original = key_,
                                     .state = has_work ? State::incomplete : State::complete,
                                     .uploaded_s = now_s,
                                     .moved_s = now_s,
                                     .metadata = text_of(facts_),
                                     .owner = offer_.owner};
    const auto finished = catalog.finish_upload(
        reservation_->id, image, original, sent,
        has_work ? process_job(key_, uuid_, offer_.owner) : storage::NewJob{});
    if (!finished) {
        // Where the catalog cannot say whether it wrote the rows, that shows once it is cleaned: if
        // it did there is nothing to clean.
        if (finished.error().kind == ErrorKind::conflict)
            remove_kept();
        else
            abandon();
        return std::unexpected(finished.error());
    }
    if (finished->is_duplicate) {
        remove_kept();
        auto duplicate = answer_duplicate(finished->image);
        if (!duplicate) return std::unexpected(std::move(duplicate.error()));
        if (!*duplicate) return fail(ErrorKind::busy, "the same image is just being removed");
        return std::move(**duplicate);
    }
    fault_point("upload.noted");
    is_ended_ = true;
    if (means.changed) means.changed({key_});
    if (has_work && means.queued) means.queued();
    intake_.counters().bytes.fetch_add(size_, std::memory_order_relaxed);
    return answer_of(image, {&original, 1}, false);
}

// In the place of the file another one without what tells of its owner; gives its digest, or
// nothing where there is nothing of that kind in it.
Result<std::optional<conf::Sha256Digest>> NewImage::strip() {
    const MappedFile sent(file_->fd(), size_);
    if (!sent) return fail_errno(errno, "map the upload");
    const std::string_view type = offer_.accepted->type;
    const auto has_some = transform::has_personal_metadata(sent.bytes(), type);
    if (!has_some) return std::unexpected(has_some.error());
    if (!*has_some) return std::nullopt;
    auto file = intake_.spool().stage(driver_, key_);
    if (!file) return std::unexpected(std::move(file.error()));
    file_ = std::move(*file);
    size_ = 0;
    conf::Sha256 hash;
    Result<void> written;
    transform::strip_personal_metadata(sent.bytes(), type, [&](std::string_view part) {
        hash.update(part);
        if (written) written = append(part);
    });
    if (!written) return std::unexpected(std::move(written.error()));
    return hash.finish();
}

// What a store has of it where it did not say so is somebody's to remove: a late put, too. Who
// tries again meanwhile does so with the same reservation.
Result<storage::ObjectInfo> NewImage::keep(const storage::PutOptions& options) {
    auto info = file_->keep(options);
    if (info) return info;
    const ErrorKind kind = info.error().kind;
    if (kind == ErrorKind::io || kind == ErrorKind::timed_out) {
        abandon();
    } else if (kind != ErrorKind::conflict) {
        remove_kept();
    }
    return info;
}

// Nobody knows the name yet. Where it cannot be removed now, that is done later.
void NewImage::remove_kept() {
    const auto removed = driver_->remove(key_);
    if (removed) return;
    conf::log_warn("upload not removed key={} reason=\"{}\"", key_, removed.error().text);
    abandon();
}

void NewImage::abandon() {
    is_ended_ = true;
    const auto abandoned = intake_.means().catalog->abandon_upload(
        reservation_->id, std::time(nullptr) + storage::kLateAnswerS, offer_.session_until_s);
    // Then it is, too, once nobody renews it.
    if (!abandoned)
        conf::log_warn("upload not given up key={} reason=\"{}\"", key_, abandoned.error().text);
}

// Nothing: what the owner had of this content is not there any more, so this is no duplicate.
Result<std::optional<ApiAnswer>> NewImage::answer_duplicate(const storage::Uuid& uuid) {
    const UploadMeans& means = intake_.means();
    const auto image = means.catalog->find_image(uuid);
    if (!image) return std::unexpected(image.error());
    const auto rows = means.catalog->objects_of(uuid);
    if (!rows) return std::unexpected(rows.error());
    bool is_there = *image && !rows->empty() && rows->front().key == (*image)->original;
    if (is_there) {
        const storage::ObjectRecord& original = rows->front();
        const auto pool = means.drivers->find(original.pool);
        if (!pool) return std::unexpected(pool.error());
        // That may be another pool than the one where this upload goes, and must not hold it up.
        if (const auto room = intake_.room_of(*pool); !room) return std::unexpected(room.error());
        const auto there = storage::exists(*pool->driver, original.key);
        if (!there) return std::unexpected(there.error());
        is_there = *there;
    }
    if (is_there) return answer_of(**image, *rows, true);
    if (auto disowned = means.catalog->disown_image(uuid); !disowned)
        return std::unexpected(std::move(disowned.error()));
    return std::nullopt;
}

ApiAnswer NewImage::answer_of(const storage::ImageRecord& image,
                              std::span<const storage::ObjectRecord> rows, bool is_duplicate) {
    api::UploadCounters& counters = intake_.counters();
    (is_duplicate ? counters.duplicates : counters.stored).fetch_add(1, std::memory_order_relaxed);
    image_ = image.uuid;
    const UploadMeans& means = intake_.means();
    api::Json json = image_resource(means.settings, means.drivers->pools(), image, rows);
    json["duplicate"] = is_duplicate;
    return {.status = 200, .body = api::text_of(json), .fields = {}};
}

}  // namespace tidepool::upload
