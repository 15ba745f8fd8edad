#include "storage/mover.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "storage/job_keys.h"
#include "storage/job_payload.h"
#include "storage/move_jobs.h"
#include "storage/reconcile_job.h"
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
constexpr std::int64_t kWaitForMoveS = 3;  // another one, so that they do not meet again and again
// Of an image that changes whenever it is to move: attempts without a pause, and the pause.
constexpr std::int64_t kMostAtOnce = 5;
constexpr std::int64_t kRestlessWaitS = 10;

Error about(const MoveTarget& target, Error error) {
    error.text = fmt::format("{}: {}", name_of(target), error.text);
    return error;
}

bool is_any_held(std::span<const JobRecord> jobs) {
    const std::int64_t now_s = std::time(nullptr);
    return std::ranges::any_of(jobs, [&](const JobRecord& job) { return job.is_held(now_s); });
}

JobEnd end_of_failure(const JobRecord& job, const MoveTarget& target, Error error) {
    // The image has changed meanwhile, so it is to be looked at anew. That of a store is what it
    // says.
    if (error.kind == ErrorKind::conflict && !error.store) {
        const bool is_restless = job.attempts > kMostAtOnce;
        return is_restless ? JobEnd::put_off(kRestlessWaitS) : JobEnd::interrupted();
    }
    return JobEnd::failed(about(target, std::move(error)));
}

}  // namespace

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
        if (!pool->is_bucket()) {
            const auto file = pool->driver->head(object.key);
            if (!file && file.error().kind != ErrorKind::not_found)
                return std::unexpected(file.error());
            if (file) stamp = stamp_of(file->size, file->modified_s);
        }
        leftovers.push_back({object.key, std::move(stamp)});
    }
    if (leftovers.empty()) return std::optional<NewJob>();
    const ObjectRecord& first = objects.front();
    return std::optional(clean_job({.from = {.image = first.image, .key = first.key, .to = mirror},
                                    .leftovers = std::move(leftovers)},
                                   not_before_s));
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
    if (!target) return JobEnd::refused(target.error());
    const auto refused = [&](const Error& error) { return JobEnd::refused(about(*target, error)); };
    const auto to = drivers_.find(target->to);
    if (!to) return refused(to.error());
    if (!takes_images(to->known)) {
        return refused({ErrorKind::misconfigured,
                        fmt::format("pool {} takes no images: it is disabled, being drained, or "
                                    "for backups",
                                    to->known.settings.name)});
    }
    // What is still to be cleaned there may be what comes back.
    const auto cleans = catalog_.jobs_named(clean_key(target->to, name_of(*target)));
    if (!cleans) return refused(cleans.error());
    if (is_any_held(*cleans)) return JobEnd::put_off(kCleanWaitS);
    const auto is_mirrored = is_being_mirrored(*target);
    if (!is_mirrored) return refused(is_mirrored.error());
    if (*is_mirrored) return JobEnd::put_off(kCleanWaitS);
    const bool had_copies =
        !cleans->empty() || run.job().begun > 1 || drivers_.is_mirror(target->to);
    bool has_begun = false;
    auto end = move_rows(run, *target, *to, had_copies, has_begun);
    if (end) return std::move(*end);
    // Whether it is the store or the catalog that is wrong a closer look at the source shows. Not
    // at what is missing: where that is much, as of a disk that is not there, it is for people to
    // say.
    if (end.error().kind == ErrorKind::corrupt) have_reconciled(*target);
    JobEnd failed = end_of_failure(run.job(), *target, std::move(end.error()));
    failed.changed_nothing = !has_begun;
    return failed;
}

// Whoever holds it where it is now may be writing what was copied before that.
Result<bool> Mover::is_held_at_home(const MoveTarget& target, std::span<const ObjectRecord> rows) {
    std::set<PoolId> homes;
    for (const ObjectRecord& row : rows)
        homes.insert(row.pool);
    for (const PoolId home : homes) {
        const auto jobs = catalog_.jobs_named(clean_key(home, name_of(target)));
        if (!jobs) return std::unexpected(jobs.error());
        if (is_any_held(*jobs)) return true;
    }
    return false;
}

void Mover::have_reconciled(const MoveTarget& target) {
    const auto queue = [&]() -> Result<void> {
        const auto rows = rows_of(catalog_, target);
        if (!rows) return std::unexpected(rows.error());
        std::vector<NewJob> jobs;
        for (const ObjectRecord& row : *rows) {
            if (row.pool != target.to)
                jobs.push_back(reconcile_job(drivers_.name_of(row.pool), row.key));
        }
        if (jobs.empty()) return {};
        const auto queued = catalog_.queue_jobs(jobs, std::time(nullptr));
        if (!queued) return std::unexpected(queued.error());
        return {};
    };
    if (const auto queued = queue(); !queued)
        conf::log_warn("not reconciled what={} reason=\"{}\"", name_of(target),
                       queued.error().text);
}

Result<std::vector<ObjectRecord>> rows_of(Catalog& catalog, const MoveTarget& target) {
    if (target.image) return catalog.objects_of(*target.image);
    auto row = catalog.find(target.key);
    if (!row) return std::unexpected(std::move(row.error()));
    std::vector<ObjectRecord> rows;
    if (*row) rows.push_back(std::move(**row));
    return rows;
}

Result<std::vector<Leftover>> leftovers_of(Catalog& catalog, const Cleaning& cleaning) {
    std::vector<Leftover> leftovers = cleaning.leftovers;
    if (!cleaning.is_whole) return leftovers;
    const auto rows = rows_of(catalog, cleaning.from);
    if (!rows) return std::unexpected(rows.error());
    for (const ObjectRecord& row : *rows) {
        if (std::ranges::find(leftovers, row.key, &Leftover::key) == leftovers.end())
            leftovers.push_back({row.key, stamp_of(row.size, row.modified_s)});
    }
    return leftovers;
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
    if (pool->is_bucket()) return false;
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
                                bool had_copies, bool& has_begun) {
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
    const auto is_held = is_held_at_home(target, *rows);
    if (!is_held) return std::unexpected(is_held.error());
    if (*is_held) return JobEnd::put_off(kCleanWaitS);
    std::uint64_t bytes = 0;
    for (const ObjectRecord& row : *rows) {
        bytes += row.size;
        const auto from = drivers_.find(row.pool);
        if (!from) return std::unexpected(from.error());
        auto apart = drivers_.require_apart(*from, to, row.key);
        // Not end_of_failure: what is there is no copy of ours, to be cleaned up. A store that does
        // not answer is met again by who copies, if it is needed, and asked again by who cleans up.
        if (!apart && apart.error().kind == ErrorKind::misconfigured)
            return JobEnd::refused(about(target, std::move(apart.error())));
    }
    auto room = reserve(to, bytes);
    if (!room) return std::unexpected(room.error());

    has_begun = true;
    fault_point("move.begun");
    const std::int64_t begun_s = std::time(nullptr);
    Relocation relocation{.objects = {}, .to = target.to, .image = target.image};
    std::vector<std::string> stamps;
    for (const ObjectRecord& row : *rows) {
        if (!run.goes_on()) return JobEnd::interrupted();
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
    if (!run.goes_on()) return JobEnd::interrupted();
    fault_point("move.proved");
    std::vector<std::string> keys;
    for (const ObjectRecord& object : relocation.objects)
        keys.push_back(object.key);
    // The room is kept until the rows count.
    auto then = [this, target, keys = std::move(keys), job = run.job(),
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
            clean_job({.from = {.image = target.image, .key = target.key, .to = pool},
                       .leftovers = leftovers,
                       .proof = {target.to, begun_s}},
                      not_before_s));
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
        const auto jobs = catalog_.jobs_named(copy_key(target.to, row.key));
        if (!jobs) return std::unexpected(jobs.error());
        if (is_any_held(*jobs)) return true;
    }
    return false;
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
    if (!from->is_bucket()) {
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

// A copy that is certainly that of this row, and durable; nothing where there is none, or none that
// can be told. Whether there is anything is said apart.
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
    // Who brought it here may have failed, or been killed, before it was.
    if (auto settled = to.settle(row.key); !settled)
        return std::unexpected(std::move(settled.error()));
    return std::optional(std::move(*info));
}

// ---- what stays behind

JobEnd Mover::clean(JobRun& run) {
    auto cleaning = cleaning_of(run.job());
    if (!cleaning) return JobEnd::failed(cleaning.error());
    const auto pool = drivers_.find(cleaning->from.to);
    if (!pool) return JobEnd::failed(pool.error());
    const auto is_put_off = is_clean_put_off(run.job(), *cleaning);
    if (!is_put_off) return JobEnd::failed(is_put_off.error());
    if (*is_put_off) return JobEnd::put_off(kWaitForMoveS);
    for (const Leftover& each : cleaning->leftovers) {
        if (!run.goes_on()) return JobEnd::interrupted();
        auto removed = remove_leftover(*pool, each.key, each.stamp, cleaning->proof);
        if (!removed) return JobEnd::failed(std::move(removed.error()));
        fault_point("clean.removed");
    }
    return JobEnd::done_soon();
}

// While somebody moves the image there, or holds it. Completes the list of what is to go: by what a
// move may have copied that came to the image after that had ended, and without what a later clean
// is about, which waits for longer.
Result<bool> Mover::is_clean_put_off(const JobRecord& job, Cleaning& cleaning) {
    const std::string name = name_of(cleaning.from);
    const PoolId pool = cleaning.from.to;
    const std::int64_t now_s = std::time(nullptr);
    const auto moves = catalog_.jobs_named(move_key(name));
    if (!moves) return std::unexpected(moves.error());
    for (const JobRecord& move : *moves) {
        const auto target = target_of(move);
        if (move.is_held(now_s) && target && target->to == pool) return true;
    }
    std::set<std::string> others;
    const auto namesakes = catalog_.jobs_named(clean_key(pool, name));
    if (!namesakes) return std::unexpected(namesakes.error());
    for (const JobRecord& other : *namesakes) {
        if (other.id < job.id && other.is_held(now_s)) return true;
        if (other.id <= job.id || other.state == JobRecord::State::cancelled) continue;
        if (const auto its = cleaning_of(other)) {
            for (const Leftover& each : its->leftovers)
                others.insert(each.key);
        }
    }
    auto leftovers = leftovers_of(catalog_, cleaning);
    if (!leftovers) return std::unexpected(std::move(leftovers.error()));
    cleaning.leftovers = std::move(*leftovers);
    std::erase_if(cleaning.leftovers,
                  [&](const Leftover& each) { return others.contains(each.key); });
    return false;
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
    if (!pool.is_bucket()) {
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
