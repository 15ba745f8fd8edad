#include "storage/backups.h"

#include "conf/fault_point.h"
#include "storage/image_hold.h"
#include "storage/job_keys.h"
#include "storage/job_payload.h"
#include "storage/mover.h"
#include "storage/streams.h"

#include <algorithm>
#include <ctime>
#include <random>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr int kCopyPriority = 150;
constexpr std::int64_t kMoveWaitS = 5;

bool is_original_of_image(const ObjectRecord& row) {
    return row.role == Role::original && row.image && backup_key(row.key);
}

// Of what the object is now: it may have been replaced since it was copied. A mirror's is served in
// its place, so it is not enough that nothing speaks against it.
bool is_backup_of(const BackupRecord& copy, const ObjectRecord& object) {
    if (copy.size != object.size) return false;
    if (copy.is_mirror()) return object.sha256 && copy.sha256 == object.sha256;
    return !copy.sha256 || !object.sha256 || copy.sha256 == object.sha256;
}

bool has_backup_in(const std::vector<BackupRecord>& copies, PoolId target,
                   const ObjectRecord& object) {
    return std::ranges::any_of(copies, [&](const BackupRecord& copy) {
        return copy.pool == target && is_backup_of(copy, object);
    });
}

// Of all backup pools and mirrors that can be used now.
std::vector<BackupState> targets_of(const DriverSet& drivers) {
    std::vector<BackupState> targets;
    for (const KnownPool& pool : drivers.pools()) {
        const bool is_mirror = drivers.is_mirror(pool.id);
        const bool has_copies = is_mirror || pool.settings.is_backup_target;
        if (has_copies && takes_copies(pool))
            targets.push_back({.target = pool.id, .is_mirror = is_mirror});
    }
    return targets;
}

// The key of a copy; nothing where there is none of such an object.
std::optional<std::string> key_of_copy(const std::string& key, const KnownPool& target) {
    if (!target.settings.is_backup_target) return key;
    return backup_key(key);
}

// Reads all of a backup; an error where it is not what it should be.
Result<void> prove(Driver& driver, const BackupRecord& backup,
                   const std::optional<conf::Sha256Digest>& sha256) {
    HashingSink sink;
    const auto info = driver.get(backup.key, {}, sink);
    if (!info) return std::unexpected(info.error());
    if (info->size != backup.size) {
        return fail(ErrorKind::corrupt,
                    fmt::format("{} in pool {} has {} bytes, not {}", backup.key, driver.pool(),
                                info->size, backup.size));
    }
    if (sha256 && sink.finish() != *sha256) {
        return fail(ErrorKind::corrupt,
                    fmt::format("{} in pool {} has another SHA-256", backup.key, driver.pool()));
    }
    return {};
}

}  // namespace

bool takes_copies(const KnownPool& pool) {
    return pool.settings.is_active && pool.problem.empty() &&
           pool.state != PoolRecord::State::draining;
}

bool has_backup_pool(const DriverSet& drivers) {
    return std::ranges::any_of(targets_of(drivers),
                               [](const BackupState& each) { return !each.is_mirror; });
}

bool has_mirror(const DriverSet& drivers) {
    return std::ranges::any_of(targets_of(drivers), &BackupState::is_mirror);
}

NewJob backup_job(const std::string& original, PoolId target, const std::string& batch) {
    return {.type = "backup",
            .payload = PayloadWriter().add("original", original).add("to", target).text(),
            .dedup_key = copy_key(target, original),
            .priority = kCopyPriority,
            .lane = fmt::format("backup {}", target),
            .batch = batch};
}

Result<std::vector<BackupState>> look_for_missing_backups(Catalog& catalog,
                                                          const DriverSet& drivers,
                                                          const BackupLook& look) {
    std::vector<BackupState> states = targets_of(drivers);
    std::erase_if(states, [&](const BackupState& each) {
        return look.of_mirrors && each.is_mirror != *look.of_mirrors;
    });
    std::string after;
    while (!states.empty()) {
        if (look.goes_on && !look.goes_on())
            return fail(ErrorKind::closed, "stopped before its end");
        const auto page = catalog.list(std::nullopt, "", after, Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        std::vector<NewJob> jobs;
        for (const ObjectRecord& row : *page) {
            std::optional<std::vector<BackupRecord>> backups;
            const PoolId mirror = drivers.mirror_of(row.pool);
            for (BackupState& state : states) {
                if (state.is_mirror ? mirror != state.target : !is_original_of_image(row)) continue;
                if (!backups) {
                    auto read = catalog.backups_of(row.key);
                    if (!read) return std::unexpected(std::move(read.error()));
                    backups = std::move(*read);
                }
                ++state.objects;
                if (has_backup_in(*backups, state.target, row)) continue;
                ++state.missing;
                state.missing_bytes += row.size;
                if (look.batch && row.added_s < look.added_before_s)
                    jobs.push_back(backup_job(row.key, state.target, *look.batch));
            }
        }
        if (!jobs.empty()) {
            const auto queued = catalog.queue_jobs(jobs, look.now_s);
            if (!queued) return std::unexpected(queued.error());
            if (look.queued != nullptr)
                look.queued->insert(look.queued->end(), queued->begin(), queued->end());
        }
        if (page->size() < Catalog::kPage) break;
        after = page->back().key;
    }
    return states;
}

NewJob backup_scan_job() {
    return {.type = "backup-scan",
            .payload = "{}",
            .dedup_key = "backup-scan",
            .priority = kCopyPriority};
}

JobEnd Backups::scan(JobRun& run) {
    const std::int64_t now_s = std::time(nullptr);
    BackupLook look;
    look.batch = fmt::format("backup {}", run.job().id);
    look.added_before_s = now_s - delay_s_;
    look.now_s = now_s;
    look.goes_on = [&run] { return run.goes_on(); };
    const auto queued = look_for_missing_backups(catalog_, drivers_, look);
    if (queued) return JobEnd::done();
    if (queued.error().kind == ErrorKind::closed) return JobEnd::interrupted();
    return JobEnd::failed(queued.error());
}

// ---- a copy

JobEnd Backups::copy(JobRun& run) {
    const PayloadReader payload(run.job().payload);
    const auto original = payload.text("original");
    const auto to = payload.number("to");
    if (!original || !to) {
        return JobEnd::failed(
            {ErrorKind::invalid, fmt::format("job {} does not say what to copy", run.job().id)});
    }
    const auto target = drivers_.find(*to);
    if (!target) return JobEnd::failed(target.error());
    const auto key = key_of_copy(*original, target->known);
    if (!key) {
        return JobEnd::failed(
            {ErrorKind::invalid, fmt::format("{} is no original of an image", *original)});
    }
    const auto location = catalog_.locate(*original);
    if (!location) return JobEnd::failed(location.error());
    const auto backups = catalog_.backups_of(*original);
    if (!backups) return JobEnd::failed(backups.error());
    if (!location->row || location->is_deleted)
        return copy_of_nothing(run, *key, *backups, location->is_deleted, *target);
    if (!is_wanted(*location->row, *target))
        return copy_of_moved(run, *location->row, *key, *backups, *target);
    if (has_backup_in(*backups, *to, *location->row)) return JobEnd::done();
    if (!target->known.settings.is_backup_target) {
        // What is not copied while it is drained is found by the next look after that.
        if (!takes_copies(target->known)) return JobEnd::done();
        const auto moves = is_moving(*location->row);
        if (!moves) return JobEnd::failed(moves.error());
        if (*moves) return JobEnd::put_off(kMoveWaitS);
    }
    if (!run.goes_on()) return JobEnd::interrupted();
    const auto is_current = copy_one(*location->row, *key, *target);
    if (!is_current) return JobEnd::failed(is_current.error());
    return *is_current ? JobEnd::done() : JobEnd::put_off(0);
}

// An attempt before this one may have copied it and not come to writing that down, or to seeing
// that its object had gone.
JobEnd Backups::copy_of_nothing(const JobRun& run, const std::string& key,
                                const std::vector<BackupRecord>& copies, bool is_deleted,
                                const DriverSet::Pool& target) {
    const bool is_backup = target.known.settings.is_backup_target;
    const bool is_noted =
        std::ranges::find(copies, target.known.id, &BackupRecord::pool) != copies.end();
    // Backups are kept as long as nobody deletes the image. What a mirror has without a record may
    // be another program's, unless that was deleted.
    const bool is_ours = is_backup ? !is_noted : is_noted || is_deleted;
    if (!is_ours || (!is_noted && run.job().begun == 1)) return JobEnd::done();
    if (auto removed = target.limited->remove(key); !removed)
        return JobEnd::failed(std::move(removed.error()));
    const auto forgotten = catalog_.remove_backup(target.known.id, key);
    return forgotten ? JobEnd::done() : JobEnd::failed(forgotten.error());
}

// An attempt before this one may have copied it and not come to writing that down, and then its
// object moved to where nobody wants it in this mirror. What is noted is the move's to remove.
JobEnd Backups::copy_of_moved(const JobRun& run, const ObjectRecord& row, const std::string& key,
                              const std::vector<BackupRecord>& copies,
                              const DriverSet::Pool& target) {
    const bool is_noted =
        std::ranges::find(copies, target.known.id, &BackupRecord::pool) != copies.end();
    if (is_noted || run.job().begun == 1 || row.pool == target.known.id) return JobEnd::done();
    const auto moves = is_moving(row);
    if (!moves) return JobEnd::failed(moves.error());
    if (*moves) return JobEnd::put_off(kMoveWaitS);
    const auto there = target.limited->head(key);
    if (!there) {
        return there.error().kind == ErrorKind::not_found ? JobEnd::done()
                                                          : JobEnd::failed(there.error());
    }
    // Another program's, as it is not what the image has at its home.
    if (there->size != row.size || (there->sha256 && row.sha256 && there->sha256 != row.sha256))
        return JobEnd::done();
    const auto removed = target.limited->remove(key);
    return removed ? JobEnd::done() : JobEnd::failed(removed.error());
}

bool Backups::is_wanted(const ObjectRecord& row, const DriverSet::Pool& target) const {
    return target.known.settings.is_backup_target ||
           drivers_.mirror_of(row.pool) == target.known.id;
}

// See Mover::is_being_mirrored.
Result<bool> Backups::is_moving(const ObjectRecord& row) const {
    const auto moves = catalog_.jobs_named(move_key(row.image ? to_text(*row.image) : row.key));
    if (!moves) return std::unexpected(moves.error());
    return std::ranges::any_of(*moves, [now_s = std::time(nullptr)](const JobRecord& move) {
        return move.is_held(now_s);
    });
}

// False: what was copied is no longer what the object is.
Result<bool> Backups::copy_one(ObjectRecord row, const std::string& key,
                               const DriverSet::Pool& target) {
    const auto from = drivers_.find(row.pool);
    if (!from) return std::unexpected(from.error());
    if (auto apart = drivers_.require_apart(*from, target, row.key); !apart)
        return std::unexpected(std::move(apart.error()));
    PutOptions options{.size = row.size, .sha256 = row.sha256};
    if (!row.content_type.empty()) options.content_type = row.content_type;
    if (!target.known.settings.is_backup_target) {
        // As a move would have it there.
        options.modified_s = row.modified_s;
        if (cache_control_) options.cache_control = cache_control_(row.key, row.content_type);
    }
    // An attempt before this one may have come as far.
    auto info = target.limited->head(key);
    const bool is_there =
        info && info->size == row.size && row.sha256 && info->sha256 == row.sha256;
    if (!info && info.error().kind != ErrorKind::not_found)
        return std::unexpected(std::move(info.error()));
    if (!is_there) {
        if (auto room = require_room(catalog_, target.known, row.size); !room)
            return std::unexpected(std::move(room.error()));
        info = copy_object(*from->limited, row.key, *target.limited, key, options);
        if (!info) return std::unexpected(std::move(info.error()));
    }
    // What it replaces is hidden by it, and would be billed.
    const auto replaced = catalog_.find_backup(target.known.id, key);
    if (!replaced) return std::unexpected(replaced.error());
    if (*replaced && !info->version_id.empty()) {
        auto removed = target.limited->remove_older_versions(key, info->version_id);
        if (!removed) return std::unexpected(std::move(removed.error()));
    }
    if (!target.known.settings.is_backup_target && !info->sha256) {  // copied by the store itself
        HashingSink sink;
        if (auto read = target.limited->get(key, {}, sink); !read)
            return std::unexpected(std::move(read.error()));
        info->sha256 = sink.finish();
    }
    if (!row.sha256 && info->sha256) {
        row.sha256 = info->sha256;
        const auto learnt = catalog_.learn_digest(row);
        if (!learnt) return std::unexpected(learnt.error());
    }
    fault_point("backup.copied");
    BackupRecord backup{.pool = target.known.id,
                        .key = key,
                        .original = row.key,
                        .size = row.size,
                        .sha256 = info->sha256 ? info->sha256 : row.sha256,
                        .store_etag = info->etag,
                        .version_id = info->version_id,
                        .added_s = std::time(nullptr)};
    if (auto noted = catalog_.put_backup(backup); !noted)
        return std::unexpected(std::move(noted.error()));
    fault_point("backup.noted");
    // Whoever deletes the image, or moves it, has perhaps looked for copies before this one was
    // noted.
    const auto location = catalog_.locate(row.key);
    if (!location) return std::unexpected(location.error());
    if (location->row && !location->is_deleted) {
        if (location->row->pool == target.known.id) return true;
        if (is_wanted(*location->row, target)) return is_backup_of(backup, *location->row);
    }
    if (auto removed = target.limited->remove(key); !removed)
        return std::unexpected(std::move(removed.error()));
    const auto forgotten = catalog_.remove_backup(backup.pool, backup.key);
    if (!forgotten) return std::unexpected(forgotten.error());
    return true;
}

// ---- what they are good for

Result<std::uint64_t> verify_backups(Catalog& catalog, DriverSet& drivers, PoolId target,
                                     std::size_t sample,
                                     const std::function<void(const VerifiedBackup&)>& report) {
    const auto pool = drivers.find(target);
    if (!pool) return std::unexpected(pool.error());
    // Each has the same chance, and no more than the sample is held.
    std::vector<BackupRecord> drawn;
    std::mt19937_64 random{std::random_device{}()};
    std::uint64_t seen = 0;
    std::string after;
    while (true) {
        auto page = catalog.list_backups(target, after, Catalog::kPage);
        if (!page) return std::unexpected(std::move(page.error()));
        for (BackupRecord& backup : *page) {
            ++seen;
            if (drawn.size() < sample) {
                drawn.push_back(backup);
            } else if (const std::uint64_t place = random() % seen; place < sample) {
                drawn[place] = backup;
            }
        }
        if (page->size() < Catalog::kPage) break;
        after = page->back().key;
    }
    std::uint64_t bad = 0;
    for (BackupRecord& backup : drawn) {
        const auto proved = prove(*pool->driver, backup, backup.sha256);
        VerifiedBackup verified{.backup = std::move(backup)};
        if (!proved) verified.problem = proved.error();
        if (!proved) ++bad;
        report(verified);
    }
    return bad;
}

Result<PoolId> restore_original(Catalog& catalog, DriverSet& drivers, const std::string& original,
                                std::optional<PoolId> to, std::int64_t now_s) {
    const auto backups = catalog.backups_of(original);
    if (!backups) return std::unexpected(backups.error());
    if (backups->empty())
        return fail(ErrorKind::not_found, fmt::format("there is no backup of {}", original));
    const auto location = catalog.locate(original);
    if (!location) return std::unexpected(location.error());
    const std::optional<ObjectRecord>& row = location->row;
    if (location->is_deleted)
        return fail(ErrorKind::not_found, fmt::format("the image of {} was deleted", original));
    if (!row && !to)
        return fail(ErrorKind::invalid, fmt::format("the catalog does not say where {} was; name "
                                                    "a pool",
                                                    original));
    const auto target = drivers.find(row ? row->pool : *to);
    if (!target) return std::unexpected(target.error());
    if (row && to && *to != row->pool) {
        return fail(ErrorKind::invalid, fmt::format("{} is of pool {}, so it is restored there; "
                                                    "move it afterwards",
                                                    original, target->driver->pool()));
    }
    // So that no move changes its home meanwhile, or cleans up behind itself.
    const auto hold = ImageHold::take(catalog, target->known,
                                      row ? *row : object_record(original, target->known.id), 0);
    if (!hold) return std::unexpected(hold.error());
    if (!*hold) return fail(ErrorKind::busy, fmt::format("{} is being moved; try again", original));
    Error last{ErrorKind::corrupt, fmt::format("no backup of {} is good", original)};
    for (const BackupRecord& backup : *backups) {
        const auto from = drivers.find(backup.pool);
        if (!from) {
            last = from.error();
            continue;
        }
        PutOptions options{.size = backup.size, .sha256 = backup.sha256};
        if (row && !row->content_type.empty()) options.content_type = row->content_type;
        if (row) options.modified_s = row->modified_s;
        // Proved before anything that is there is replaced.
        if (auto proved = prove(*from->driver, backup, backup.sha256); !proved) {
            last = proved.error();
            continue;
        }
        const auto stored =
            copy_object(*from->driver, backup.key, *target->driver, original, options);
        if (!stored) return std::unexpected(stored.error());
        if (!stored->version_id.empty()) {  // the bad one is hidden by it, and would be billed
            auto removed = target->driver->remove_older_versions(original, stored->version_id);
            if (!removed) return std::unexpected(std::move(removed.error()));
        }
        ObjectRecord restored =
            object_record(original, target->known.id, *stored, options.content_type, now_s);
        if (row) restored.modified_s = row->modified_s;
        fault_point("restore.stored");
        if (auto noted = catalog.put_in_place(restored); !noted) {
            // It was deleted, or came to be somewhere else.
            const auto now = catalog.find(original);
            const bool is_needed =
                !now || (*now && ((*now)->pool == target->known.id ||
                                  drivers.mirror_of((*now)->pool) == target->known.id));
            if (!is_needed) (void)target->driver->remove(original);
            return std::unexpected(std::move(noted.error()));
        }
        return backup.pool;
    }
    return std::unexpected(std::move(last));
}

}  // namespace tidepool::storage
