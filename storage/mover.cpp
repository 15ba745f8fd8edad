#include "storage/mover.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "storage/job_keys.h"
#include "storage/job_payload.h"
#include "storage/streams.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr std::int64_t kCleanWaitS = 2;
// Of an image that changes whenever it is to move: attempts without a pause, and the pause.
constexpr std::int64_t kMostAtOnce = 5;
constexpr std::int64_t kRestlessWaitS = 10;
constexpr std::int64_t kCleanPriority = 50;

std::string name_of(const MoveTarget& target) {
    return target.image ? to_text(*target.image) : target.key;
}

// By which a file is known again.
std::string stamp_of(std::uint64_t size, std::int64_t modified_s) {
    return fmt::format("{}/{}", size, modified_s);
}

struct Leftover {
    std::string key;
    std::string stamp;
};

NewJob clean_job(PoolId pool, const std::string& name, const std::vector<Leftover>& leftovers,
                 std::int64_t not_before_s, const MoveProof& proof = {}) {
    std::vector<std::string> keys;
    std::vector<std::string> stamps;
    for (const Leftover& each : leftovers) {
        keys.push_back(each.key);
        stamps.push_back(each.stamp);
    }
    PayloadWriter payload;
    payload.add("pool", pool).add("keys", keys).add("stamps", stamps);
    if (proof.pool != 0) payload.add("proved_in", proof.pool).add("proved_s", proof.at_s);
    return {.type = "clean",
            .payload = payload.text(),
            .dedup_key = clean_key(pool, name),
            .priority = kCleanPriority,
            .not_before_s = not_before_s,
            .lane = fmt::format("clean {}", pool)};
}

bool is_bucket(const DriverSet::Pool& pool) {
    return pool.known.settings.storage_type == conf::PoolSettings::Type::s3;
}

Error about(const MoveTarget& target, Error error) {
    error.text = fmt::format("{}: {}", name_of(target), error.text);
    return error;
}

}  // namespace

NewJob move_job(const MoveTarget& target, PoolId from, int priority, const std::string& batch) {
    PayloadWriter payload;
    if (target.image) {
        payload.add("image", to_text(*target.image));
    } else {
        payload.add("key", target.key);
    }
    payload.add("to", target.to);
    return {.type = "move",
            .payload = payload.text(),
            .dedup_key = move_key(name_of(target)),
            .priority = priority,
            .lane = fmt::format("move {}>{}", from, target.to),
            .batch = batch};
}

Result<MoveTarget> target_of(const JobRecord& job) {
    const PayloadReader payload(job.payload);
    MoveTarget target;
    target.to = payload.number("to").value_or(0);
    target.key = payload.text("key").value_or("");
    if (const auto image = payload.text("image")) target.image = parse_uuid(*image);
    if (target.to == 0 || (!target.image && target.key.empty()))
        return fail(ErrorKind::invalid, fmt::format("job {} does not say what to move", job.id));
    return target;
}

NewJob clean_after_failed_move(const MoveTarget& target, std::span<const ObjectRecord> objects,
                               std::int64_t now_s) {
    std::vector<Leftover> leftovers;
    for (const ObjectRecord& object : objects) {
        if (object.pool != target.to)
            leftovers.push_back({object.key, stamp_of(object.size, object.modified_s)});
    }
    return clean_job(target.to, name_of(target), leftovers, now_s);
}

Result<std::optional<NewJob>> clean_mirror_job(Catalog& catalog, DriverSet& drivers, PoolId mirror,
                                               std::span<const ObjectRecord> objects,
                                               std::int64_t not_before_s) {
    std::vector<Leftover> leftovers;
    for (const ObjectRecord& object : objects) {
        const auto copy = catalog.find_backup(mirror, object.key);
        if (!copy) return std::unexpected(copy.error());
        if (!*copy) continue;
        const auto pool = drivers.find(mirror);
        if (!pool) return std::unexpected(pool.error());
        std::string stamp;
        if (!is_bucket(*pool)) {
            const auto file = pool->driver->head(object.key);
            if (!file && file.error().kind != ErrorKind::not_found)
                return std::unexpected(file.error());
            if (file) stamp = stamp_of(file->size, file->modified_s);
        }
        leftovers.push_back({object.key, std::move(stamp)});
    }
    if (leftovers.empty()) return std::optional<NewJob>();
    const auto& image = objects.front().image;
    const std::string name = image ? to_text(*image) : objects.front().key;
    return std::optional(clean_job(mirror, name, leftovers, not_before_s));
}

bool takes_images(const KnownPool& pool) {
    return pool.settings.is_active && pool.state == PoolRecord::State::active &&
           !pool.settings.is_backup_target;
}

// ---- room

Result<void> require_room(Catalog& catalog, const KnownPool& pool, std::uint64_t bytes,
                          std::uint64_t others) {
    const std::uint64_t most = pool.settings.max_size_bytes;
    if (most == 0) return {};
    const auto held = bytes_held(catalog, pool.id);
    if (!held) return std::unexpected(held.error());
    const auto reserved = catalog.reserved_bytes(pool.id, std::time(nullptr));
    if (!reserved) return std::unexpected(reserved.error());
    if (*held + *reserved + others + bytes <= most) return {};
    return fail(ErrorKind::capped, fmt::format("pool {} has no room for {} bytes more (max_size)",
                                               pool.settings.name, bytes));
}

class Mover::Room {
  public:
    Room(Mover& mover, PoolId pool, std::uint64_t bytes)
        : mover_(&mover), pool_(pool), bytes_(bytes) {}
    ~Room() {
        if (mover_ == nullptr) return;
        const std::lock_guard lock(mover_->mutex_);
        mover_->reserved_[pool_] -= bytes_;
    }
    Room(Room&& other) noexcept
        : mover_(std::exchange(other.mover_, nullptr)), pool_(other.pool_), bytes_(other.bytes_) {}
    Room& operator=(Room&&) = delete;

  private:
    Mover* mover_;
    PoolId pool_;
    std::uint64_t bytes_;
};

Result<Mover::Room> Mover::reserve(const DriverSet::Pool& to, std::uint64_t bytes) {
    const PoolId pool = to.known.id;
    std::uint64_t reserved = 0;
    {
        const std::lock_guard lock(mutex_);
        reserved = reserved_[pool] += bytes;
    }
    Room room(*this, pool, bytes);
    const conf::PoolSettings& settings = to.known.settings;
    if (auto fits = require_room(catalog_, to.known, bytes, reserved - bytes); !fits)
        return std::unexpected(std::move(fits.error()));
    const auto space = to.driver->space();
    if (space && space->free_bytes && *space->free_bytes < reserved)
        return fail(ErrorKind::capped, fmt::format("the disk of pool {} is full", settings.name));
    return room;
}

// ---- a move

Mover::Mover(Catalog& catalog, DriverSet& drivers, MoveRules rules)
    : catalog_(catalog), drivers_(drivers), rules_(std::move(rules)) {}

JobEnd Mover::move(JobRun& run) {
    const auto target = target_of(run.job());
    if (!target) return JobEnd::failed(target.error());
    const auto to = drivers_.find(target->to);
    if (!to) return JobEnd::failed(about(*target, to.error()));
    if (!takes_images(to->known)) {
        return JobEnd::failed(about(
            *target, {ErrorKind::misconfigured,
                      fmt::format("pool {} takes no images: it is disabled, being drained, or "
                                  "for backups",
                                  to->known.settings.name)}));
    }
    // What an earlier move left there is to be removed: not while it comes back.
    const std::string clean = clean_key(target->to, name_of(*target));
    const auto cancelled = catalog_.cancel_queued_job(clean, std::time(nullptr));
    if (!cancelled) return JobEnd::failed(about(*target, cancelled.error()));
    if (!*cancelled) {
        const auto open = catalog_.find_open_job(clean);
        if (!open) return JobEnd::failed(about(*target, open.error()));
        if (*open) return JobEnd::put_off(kCleanWaitS);
    }
    const auto is_mirrored = is_being_mirrored(*target);
    if (!is_mirrored) return JobEnd::failed(about(*target, is_mirrored.error()));
    if (*is_mirrored) return JobEnd::put_off(kCleanWaitS);
    const bool had_copies = *cancelled || run.job().attempts > 1 || drivers_.is_mirror(target->to);
    auto end = move_rows(run, *target, *to, had_copies);
    return end ? std::move(*end) : end_of_failure(run.job().id, *target, std::move(end.error()));
}

JobEnd Mover::end_of_failure(JobId job, const MoveTarget& target, Error error) {
    // The image has changed meanwhile, so it is to be looked at anew. That of a store is what it
    // says.
    if (error.kind == ErrorKind::conflict && !error.store) {
        const auto now = catalog_.find_job(job);
        if (!now) return JobEnd::failed(about(target, now.error()));
        // Whoever did that looked for copies before the last of them was there.
        if (*now && (*now)->state == JobRecord::State::cancelled) clean_copies(target);
        const bool is_restless = *now && (*now)->attempts > kMostAtOnce;
        return is_restless ? JobEnd::put_off(kRestlessWaitS) : JobEnd::interrupted();
    }
    // No later attempt will need what was copied.
    if (!error.may_retry() && error.kind != ErrorKind::capped) clean_copies(target);
    return JobEnd::failed(about(target, std::move(error)));
}

// Has what a move copied removed, unless another one of the same image needs it.
void Mover::clean_copies(const MoveTarget& target) {
    const auto clean = [&]() -> Result<void> {
        const auto rows = rows_of(catalog_, target);
        if (!rows) return std::unexpected(rows.error());
        if (rows->empty()) return {};
        const auto queued = catalog_.queue_job(
            clean_after_failed_move(target, *rows, std::time(nullptr)), std::time(nullptr));
        if (!queued) return std::unexpected(queued.error());
        return {};
    };
    if (const auto cleaned = clean(); !cleaned)
        conf::log_warn("copies of a failed move stay what={} reason=\"{}\"", name_of(target),
                       cleaned.error().text);
}

Result<std::vector<ObjectRecord>> rows_of(Catalog& catalog, const MoveTarget& target) {
    if (target.image) return catalog.objects_of(*target.image);
    auto row = catalog.find(target.key);
    if (!row) return std::unexpected(std::move(row.error()));
    std::vector<ObjectRecord> rows;
    if (*row) rows.push_back(std::move(**row));
    return rows;
}

Result<std::vector<ObjectInfo>> list_variants(Driver& driver, const std::string& original) {
    std::vector<ObjectInfo> variants;
    const auto prefix = variants_prefix(original);
    if (!prefix) return variants;
    std::string next;
    do {
        auto page = driver.list(*prefix, next, Driver::kMostListed);
        if (!page) return std::unexpected(std::move(page.error()));
        std::ranges::move(page->objects, std::back_inserter(variants));
        next = std::move(page->next);
    } while (!next.empty());
    return variants;
}

// A file gets its row when it is first asked for. Whether there are some that were not yet.
Result<bool> Mover::adopt_variants(const ObjectRecord& original) {
    const auto pool = drivers_.find(original.pool);
    if (!pool) return std::unexpected(pool.error());
    if (is_bucket(*pool)) return false;
    const auto files = list_variants(*pool->driver, original.key);
    if (!files) return std::unexpected(files.error());
    std::vector<ObjectRecord> found;
    for (const ObjectInfo& file : *files) {
        const auto row = catalog_.find(file.key);
        if (!row) return std::unexpected(row.error());
        if (*row) continue;
        found.push_back(object_record(file.key, original.pool, file, "", std::time(nullptr)));
    }
    if (found.empty()) return false;
    const auto adopted = catalog_.adopt(found);
    if (!adopted) return std::unexpected(adopted.error());
    return true;
}

Result<JobEnd> Mover::move_rows(JobRun& run, const MoveTarget& target, const DriverSet::Pool& to,
                                bool had_copies) {
    auto rows = rows_of(catalog_, target);
    if (!rows) return std::unexpected(std::move(rows.error()));
    if (target.image) {
        const auto is_deleted = catalog_.is_deleted(*target.image);
        if (!is_deleted) return std::unexpected(is_deleted.error());
        if (*is_deleted) return take_back(target, to, *rows, had_copies);
    }
    if (target.image && !rows->empty() && rows->front().role == Role::original &&
        rows->front().pool != target.to) {
        const auto adopted = adopt_variants(rows->front());
        if (!adopted) return std::unexpected(adopted.error());
        if (*adopted) rows = rows_of(catalog_, target);
        if (!rows) return std::unexpected(std::move(rows.error()));
    }
    if (rows->empty()) return fail(ErrorKind::not_found, "the catalog knows nothing of it");
    std::erase_if(*rows, [&](const ObjectRecord& row) { return row.pool == target.to; });
    if (rows->empty()) return JobEnd::done();
    std::uint64_t bytes = 0;
    for (const ObjectRecord& row : *rows) {
        bytes += row.size;
        const auto from = drivers_.find(row.pool);
        if (!from) return std::unexpected(from.error());
        auto apart = drivers_.require_apart(*from, to, row.key);
        // Not end_of_failure: what is there is no copy of ours, to be cleaned up. A store that does
        // not answer is met again by who copies, if it is needed, and asked again by who cleans up.
        if (!apart && apart.error().kind == ErrorKind::misconfigured)
            return JobEnd::failed(about(target, std::move(apart.error())));
    }
    auto room = reserve(to, bytes);
    if (!room) return std::unexpected(room.error());

    fault_point("move.begun");
    const std::int64_t begun_s = std::time(nullptr);
    Relocation relocation{.objects = {}, .to = target.to, .image = target.image};
    std::vector<std::string> stamps;
    for (const ObjectRecord& row : *rows) {
        if (!run.goes_on()) return give_up(run, target, to, relocation.objects);
        std::string stamp;
        auto moved = copy(row, to, had_copies, stamp);
        if (!moved) return std::unexpected(std::move(moved.error()));
        fault_point("move.copied");
        relocation.objects.push_back(std::move(*moved));
        stamps.push_back(std::move(stamp));
        run.note(PayloadWriter()
                     .add("copied", static_cast<std::int64_t>(relocation.objects.size()))
                     .add("of", static_cast<std::int64_t>(rows->size()))
                     .add("since", begun_s)
                     .text());
    }
    relocation.now_s = std::time(nullptr);
    if (auto planned = plan_cleaning(target, *rows, stamps, begun_s, relocation); !planned)
        return std::unexpected(std::move(planned.error()));
    relocation.by = run.lease();
    if (!run.goes_on()) return give_up(run, target, to, relocation.objects);
    fault_point("move.proved");
    std::vector<std::string> keys;
    for (const ObjectRecord& object : relocation.objects)
        keys.push_back(object.key);
    // The room is kept until the rows count.
    auto then = [this, target, keys = std::move(keys), job = run.job().id,
                 room = std::make_shared<Room>(std::move(*room))](
                    Result<void> relocated) -> std::optional<JobEnd> {
        if (!relocated) return end_of_failure(job, target, std::move(relocated.error()));
        fault_point("move.switched");
        if (rules_.moved) rules_.moved(keys);
        return std::nullopt;
    };
    return JobEnd::relocates(std::move(relocation), std::move(then));
}

// Copies stay where the target mirrors to; all others go after the grace time, and so do those that
// a mirror of the source had.
Result<void> Mover::plan_cleaning(const MoveTarget& target, std::span<const ObjectRecord> rows,
                                  std::span<const std::string> stamps, std::int64_t begun_s,
                                  Relocation& relocation) {
    const PoolId mirror = drivers_.mirror_of(target.to);
    const std::int64_t not_before_s = relocation.now_s + rules_.grace_s;
    std::map<PoolId, std::vector<Leftover>> left;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const ObjectRecord& row = rows[i];
        if (row.pool != mirror) {
            left[row.pool].push_back({row.key, stamps[i]});
            continue;
        }
        relocation.copies.push_back({.pool = mirror,
                                     .key = row.key,
                                     .original = row.key,
                                     .size = row.size,
                                     .sha256 = relocation.objects[i].sha256,
                                     .store_etag = row.store_etag,
                                     .version_id = row.version_id,
                                     .added_s = relocation.now_s});
    }
    for (const auto& [pool, leftovers] : left) {
        relocation.then.push_back(
            clean_job(pool, name_of(target), leftovers, not_before_s, {target.to, begun_s}));
        const PoolId old_mirror = drivers_.mirror_of(pool);
        if (old_mirror == 0 || old_mirror == mirror || old_mirror == target.to) continue;
        auto job = clean_mirror_job(catalog_, drivers_, old_mirror, rows, not_before_s);
        if (!job) return std::unexpected(std::move(job.error()));
        if (*job) relocation.then.push_back(std::move(**job));
    }
    return {};
}

// What writes an object where it is mirrored and what moves it there must not meet. Each is seen to
// run before it looks whether the other one does.
Result<bool> Mover::is_being_mirrored(const MoveTarget& target) {
    if (!drivers_.is_mirror(target.to)) return false;
    const auto rows = rows_of(catalog_, target);
    if (!rows) return std::unexpected(rows.error());
    for (const ObjectRecord& row : *rows) {
        const auto job = catalog_.find_open_job(copy_key(target.to, row.key));
        if (!job) return std::unexpected(job.error());
        if (*job && (*job)->state == JobRecord::State::running) return true;
    }
    return false;
}

// It is somebody else's by now, who finds what was copied. But where it was cancelled nobody will:
// whoever did that looked for copies before the last of them was there.
Result<JobEnd> Mover::give_up(const JobRun& run, const MoveTarget& target,
                              const DriverSet::Pool& to, const std::vector<ObjectRecord>& copied) {
    const auto job = catalog_.find_job(run.job().id);
    if (!job) return std::unexpected(job.error());
    if (!*job || (*job)->state != JobRecord::State::cancelled) return JobEnd::interrupted();
    const auto open = catalog_.find_open_job(move_key(name_of(target)));
    if (!open) return std::unexpected(open.error());
    if (*open) return JobEnd::interrupted();
    for (const ObjectRecord& object : copied) {
        const auto row = catalog_.find(object.key);
        if (!row) return std::unexpected(row.error());
        const bool is_wanted =
            *row && ((*row)->pool == target.to || drivers_.mirror_of((*row)->pool) == target.to);
        if (is_wanted) continue;
        if (auto removed = to.limited->remove(object.key); !removed)
            return std::unexpected(std::move(removed.error()));
    }
    return JobEnd::interrupted();
}

// Of an image that is deleted: whoever deletes it waits for that, and removes what the rows name.
Result<JobEnd> Mover::take_back(const MoveTarget& target, const DriverSet::Pool& to,
                                const std::vector<ObjectRecord>& rows, bool had_copies) {
    for (const ObjectRecord& row : rows) {
        if (!had_copies || row.pool == target.to) continue;
        if (auto removed = to.limited->remove(row.key); !removed)
            return std::unexpected(std::move(removed.error()));
    }
    return JobEnd::done();
}

// The row as it is going to be, but for its pool.
Result<ObjectRecord> Mover::copy(const ObjectRecord& row, const DriverSet::Pool& to,
                                 bool may_be_there, std::string& stamp) {
    const auto from = drivers_.find(row.pool);
    if (!from) return std::unexpected(from.error());
    stamp = stamp_of(row.size, row.modified_s);
    bool is_gone = false;
    if (!is_bucket(*from)) {
        const auto source = from->driver->head(row.key);
        if (source) {
            stamp = stamp_of(source->size, source->modified_s);
            if (source->size != row.size)
                return fail(ErrorKind::corrupt,
                            fmt::format("{} has {} bytes in pool {}, and the catalog says {}",
                                        row.key, source->size, from->driver->pool(), row.size));
        }
        is_gone = !source && source.error().kind == ErrorKind::not_found;
        if (!source && !is_gone) return std::unexpected(source.error());
    }
    std::optional<ObjectInfo> info;
    bool has_some = false;
    if (may_be_there || is_gone) {
        auto found = find_copy(row, *to.limited, has_some);
        if (!found) return std::unexpected(std::move(found.error()));
        info = std::move(*found);
    }
    if (!info && !is_gone) {
        PutOptions options{.size = row.size, .sha256 = row.sha256};
        if (!row.content_type.empty()) options.content_type = row.content_type;
        if (rules_.cache_control)
            options.cache_control = rules_.cache_control(row.key, row.content_type);
        options.modified_s = row.modified_s;
        auto copied = copy_object(*from->limited, row.key, *to.limited, row.key, options);
        if (copied) {
            info = std::move(*copied);
            if (has_some && !info->version_id.empty()) {
                // What it replaces is hidden by it, and would be billed.
                auto removed = to.limited->remove_older_versions(row.key, info->version_id);
                if (!removed) return std::unexpected(std::move(removed.error()));
            }
        } else if (copied.error().kind != ErrorKind::not_found) {
            return std::unexpected(std::move(copied.error()));
        } else {
            auto found = find_copy(row, *to.limited, has_some);
            if (!found) return std::unexpected(std::move(found.error()));
            info = std::move(*found);
        }
    }
    if (!info) {
        return fail(ErrorKind::not_found,
                    fmt::format("{} is missing in pool {}, and pool {} has no good copy; nothing "
                                "was changed",
                                row.key, from->driver->pool(), to.driver->pool()));
    }
    ObjectRecord moved = row;
    moved.sha256 = info->sha256;
    moved.store_etag = info->etag;
    moved.version_id = info->version_id;
    return moved;
}

// A copy that is certainly that of this row; nothing where there is none, or none that can be told.
// Whether there is anything is said apart.
Result<std::optional<ObjectInfo>> Mover::find_copy(const ObjectRecord& row, Driver& to,
                                                   bool& has_some) {
    auto info = to.head(row.key);
    has_some = info.has_value();
    if (!info && info.error().kind == ErrorKind::not_found) return std::optional<ObjectInfo>();
    if (!info) return std::unexpected(std::move(info.error()));
    if (info->size != row.size || !row.sha256) return std::optional<ObjectInfo>();
    if (!info->sha256) {
        HashingSink sink;
        if (auto read = to.get(row.key, {}, sink); !read)
            return std::unexpected(std::move(read.error()));
        info->sha256 = sink.finish();
    }
    if (info->sha256 != row.sha256) return std::optional<ObjectInfo>();
    return std::optional(std::move(*info));
}

// ---- what stays behind

JobEnd Mover::clean(JobRun& run) {
    const PayloadReader payload(run.job().payload);
    const auto id = payload.number("pool");
    const auto keys = payload.texts("keys");
    const auto stamps = payload.texts("stamps");
    if (!id || keys.size() != stamps.size()) {
        return JobEnd::failed(
            {ErrorKind::invalid, fmt::format("job {} does not say what to clean", run.job().id)});
    }
    const auto pool = drivers_.find(*id);
    if (!pool) return JobEnd::failed(pool.error());
    // One that was queued anew may come while a move brings the image back.
    const std::string& key = run.job().dedup_key;
    const std::size_t prefix = std::min(clean_key(*id, "").size(), key.size());
    const auto move = catalog_.find_open_job(move_key(key.substr(prefix)));
    if (!move) return JobEnd::failed(move.error());
    if (*move && (*move)->state == JobRecord::State::running) {
        const auto target = target_of(**move);
        if (target && target->to == *id) return JobEnd::put_off(kCleanWaitS);
    }
    const MoveProof proof{payload.number("proved_in").value_or(0),
                          payload.number("proved_s").value_or(0)};
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (!run.goes_on()) return JobEnd::interrupted();
        auto removed = remove_leftover(*pool, keys[i], stamps[i], proof);
        if (!removed) return JobEnd::failed(std::move(removed.error()));
        fault_point("clean.removed");
    }
    return JobEnd::done_soon();
}

// Invariant 1: not before the object is seen where the catalog says that it is, whatever may have
// happened since it was copied there.
Result<void> Mover::require_home(const ObjectRecord& row) {
    const auto home = drivers_.find(row.pool);
    if (!home) return std::unexpected(home.error());
    const auto info = home->limited->head(row.key);
    if (!info && info.error().kind != ErrorKind::not_found) return std::unexpected(info.error());
    const bool is_good = info && info->size == row.size &&
                         (!row.sha256 || !info->sha256 || row.sha256 == info->sha256);
    if (is_good) return {};
    return fail(ErrorKind::corrupt,
                fmt::format("{} is not in pool {}, where the catalog says that it is, so no other "
                            "copy is removed; reconcile that pool",
                            row.key, home->driver->pool()));
}

Result<void> Mover::remove_leftover(const DriverSet::Pool& pool, const std::string& key,
                                    const std::string& stamp, const MoveProof& proof) {
    const auto row = catalog_.find(key);
    if (!row) return std::unexpected(row.error());
    if (*row && (*row)->pool == pool.known.id) return {};  // it has come back
    if (*row && drivers_.mirror_of((*row)->pool) == pool.known.id) return {};
    if (!is_bucket(pool)) {
        const auto info = pool.driver->head(key);
        const bool is_gone = !info && info.error().kind == ErrorKind::not_found;
        if (is_gone) return forget_copy(pool, key);
        if (!info) return std::unexpected(info.error());
        if (stamp_of(info->size, info->modified_s) != stamp) {
            conf::log_warn("not removed, as it is not what was moved pool={} key={}",
                           pool.driver->pool(), key);
            return {};
        }
    }
    if (*row) {
        const auto home = drivers_.find((*row)->pool);
        if (!home) return std::unexpected(home.error());
        if (auto apart = drivers_.require_apart(*home, pool, key); !apart) return apart;
    }
    if (*row && !is_fresh(proof, (*row)->pool)) {
        if (auto home = require_home(**row); !home) return home;
    }
    if (auto removed = pool.limited->remove(key); !removed) return removed;
    fault_point("clean.bytes");
    return forget_copy(pool, key);
}

// What was proved this short a while ago needs no proof that costs a call.
bool Mover::is_fresh(const MoveProof& proof, PoolId home) const {
    const std::int64_t now_s = std::time(nullptr);
    return proof.pool == home && proof.at_s <= now_s && now_s < proof.at_s + rules_.proof_lasts_s;
}

// Where it was one of a mirror, which most are not: to look is cheaper than to write.
Result<void> Mover::forget_copy(const DriverSet::Pool& pool, const std::string& key) {
    const auto copy = catalog_.find_backup(pool.known.id, key);
    if (!copy) return std::unexpected(copy.error());
    if (!*copy) return {};
    const auto forgotten = catalog_.remove_backup(pool.known.id, key);
    if (!forgotten) return std::unexpected(forgotten.error());
    return {};
}

}  // namespace tidepool::storage
