#include "storage/reconcile_repair.h"

#include "conf/fault_point.h"
#include "storage/backups.h"
#include "storage/image_hold.h"
#include "storage/mirrors.h"
#include "storage/mover.h"

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr int kMovePriority = 100;

RepairEnd done(std::string what) {
    return {.is_repaired = true, .what = std::move(what)};
}

RepairEnd stays(std::string why) {
    return {.is_repaired = false, .what = std::move(why)};
}

// Nothing where there is none.
Result<std::optional<ObjectInfo>> look(Driver& driver, const std::string& key) {
    auto info = head_with_digest(driver, key);
    if (info) return std::optional(std::move(*info));
    if (info.error().kind == ErrorKind::not_found) return std::optional<ObjectInfo>();
    return std::unexpected(std::move(info.error()));
}

// Certainly the row's content.
bool is_that_of(const ObjectRecord& row, const ObjectInfo& info) {
    return info.size == row.size && row.sha256 && info.sha256 == row.sha256;
}

}  // namespace

Result<RepairEnd> Repairer::repair(const Verdict& verdict) {
    const bool is_copy = !verdict.copy_of.empty();
    if (is_copy && verdict.finding != FindingKind::hidden_version) return copy(verdict);
    switch (verdict.finding) {
        case FindingKind::missing_object:
            return missing(verdict);
        case FindingKind::unknown_object:
            return unknown(verdict);
        case FindingKind::elsewhere:
            return elsewhere(verdict);
        case FindingKind::wrong_size:
        case FindingKind::wrong_hash:
            return wrong(verdict);
        case FindingKind::stale_row:
            return stale(verdict);
        case FindingKind::late_variant:
            return late(verdict);
        case FindingKind::hidden_version:
            return hidden(verdict);
        case FindingKind::stray_upload:
        case FindingKind::stray_temporary:
            break;
    }
    return stays("it is of no key");
}

void Repairer::tell(const std::string& key) const {
    if (rules_.changed) rules_.changed({key});
}

// The row becomes what was seen, and is made where there is none. It is not taken from a pool that
// it came to meanwhile.
Result<void> Repairer::adopt(const ObjectInfo& info) {
    ObjectRecord object = object_record(info.key, pool_.known.id, info, "", rules_.now_s);
    fault_point("reconcile.adopt");
    const auto adopted = catalog_.adopt({&object, 1});
    if (!adopted) return std::unexpected(adopted.error());
    return {};
}

// Of a variant, which can be made again.
Result<void> Repairer::remove_row(const ObjectRecord& row) {
    if (auto copies = remove_mirror_copies(catalog_, drivers_, row.key); !copies) return copies;
    const auto removed = catalog_.remove_object(row.key, row.pool);
    if (!removed) return std::unexpected(removed.error());
    tell(row.key);
    return {};
}

Result<void> Repairer::set_aside(const ObjectInfo& object) {
    fault_point("reconcile.set_aside");
    // What the store says of its digest is not what was found by reading, and goes with the copy.
    ObjectInfo info = object;
    info.sha256.reset();
    auto aside = pool_.limited->set_aside(info.key, info, rules_.quarantine_prefix);
    if (!aside) return aside;
    fault_point("reconcile.was_set_aside");
    return {};
}

// ---- a copy that is not what its record says

Result<RepairEnd> Repairer::copy(const Verdict& verdict) {
    const PoolId pool = pool_.known.id;
    if (verdict.finding == FindingKind::stale_row) {
        BackupRecord record{.pool = pool,
                            .key = verdict.key,
                            .original = verdict.copy_of,
                            .size = verdict.row->size,
                            .sha256 = verdict.row->sha256,
                            .store_etag = verdict.object->etag,
                            .version_id = verdict.object->version_id,
                            .added_s = verdict.row->added_s};
        if (auto noted = catalog_.put_backup(record); !noted)
            return std::unexpected(std::move(noted.error()));
        return done("its record says what the store does");
    }
    // What is there looks like the right one to whoever does not read it, so it goes, once the
    // object is seen to be well at home.
    if (verdict.object) {
        auto end = remove_bad_copy(verdict);
        if (!end) return std::unexpected(std::move(end.error()));
        if (*end) return std::move(**end);
    }
    fault_point("reconcile.forget_copy");
    const auto forgotten = catalog_.remove_backup(pool, verdict.key);
    if (!forgotten) return std::unexpected(forgotten.error());
    return copy_again(verdict.copy_of, "its record was removed");
}

// Nothing: it is gone. No move may make it the object's home meanwhile.
Result<std::optional<RepairEnd>> Repairer::remove_bad_copy(const Verdict& verdict) {
    const auto before = catalog_.find(verdict.copy_of);
    if (!before) return std::unexpected(before.error());
    if (!*before) return std::optional(stays("the catalog does not know what it is a copy of"));
    const auto hold = ImageHold::take(catalog_, pool_.known, **before, asking_);
    if (!hold) return std::unexpected(hold.error());
    if (!*hold) return std::optional(stays("a job is at work on it"));
    const auto row = catalog_.find(verdict.copy_of);
    if (!row) return std::unexpected(row.error());
    if (*row != *before || (*row)->pool == pool_.known.id)
        return std::optional(stays("it changed meanwhile"));
    const auto home = drivers_.find((*row)->pool);
    if (!home) return std::unexpected(home.error());
    const auto there = look(*home->limited, verdict.copy_of);
    if (!there) return std::unexpected(there.error());
    if (!*there || compare(**row, **there) != Match::same)
        return std::optional(stays("what it is a copy of is not well either; see its pool"));
    if (auto removed = pool_.limited->remove(verdict.key); !removed)
        return std::unexpected(std::move(removed.error()));
    return std::optional<RepairEnd>();
}

// By whoever makes copies, who sees whether it is still wanted.
Result<RepairEnd> Repairer::copy_again(const std::string& original, std::string_view what) {
    const auto row = catalog_.find(original);
    if (!row) return std::unexpected(row.error());
    if (!*row) return done(fmt::format("{}; the catalog does not know what it is of", what));
    const auto job = catalog_.queue_job(backup_job(original, pool_.known.id, ""), rules_.now_s);
    if (!job) return std::unexpected(job.error());
    return done(fmt::format("{}; job {} copies it, where it is not there", what, *job));
}

// ---- no object

Result<RepairEnd> Repairer::missing(const Verdict& verdict) {
    const ObjectRecord& row = *verdict.row;
    auto hidden = unhide(row);
    if (!hidden) return std::unexpected(std::move(hidden.error()));
    if (*hidden) return std::move(**hidden);
    auto elsewhere = find_in_other_pool(row);
    if (!elsewhere) return std::unexpected(std::move(elsewhere.error()));
    if (*elsewhere) return std::move(**elsewhere);
    if (row.role == Role::variant) {
        fault_point("reconcile.remove_row");
        if (auto removed = remove_row(row); !removed)
            return std::unexpected(std::move(removed.error()));
        return done("its row was removed; it is made again when it is asked for");
    }
    auto restored = restore(row, nullptr);
    if (!restored) return std::unexpected(std::move(restored.error()));
    if (*restored) return std::move(**restored);
    return stays("LOST: no pool, no backup and no hidden version has it; its row stays until rm");
}

// The markers over the version that the row is of, and that is all there is over it; else none.
Result<std::vector<std::string>> Repairer::markers_over(const ObjectRecord& row) {
    std::vector<std::string> markers;
    std::string next;
    while (true) {
        const auto page = pool_.limited->list_versions(row.key, next);
        if (!page) return std::unexpected(page.error());
        for (const StoredVersion& version : page->versions) {
            if (version.key != row.key) return std::vector<std::string>();
            if (version.is_marker) {
                markers.push_back(version.version_id);
                continue;
            }
            const bool is_it = version.size == row.size &&
                               (row.version_id.empty() || row.version_id == version.version_id);
            return is_it ? markers : std::vector<std::string>();
        }
        if (page->next.empty()) return std::vector<std::string>();
        next = page->next;
    }
}

// Where the store only hides it, under markers that somebody's plain removal put there.
Result<std::optional<RepairEnd>> Repairer::unhide(const ObjectRecord& row) {
    const auto markers = markers_over(row);
    if (!markers) return std::unexpected(markers.error());
    if (markers->empty()) return std::optional<RepairEnd>();
    for (const std::string& marker : *markers) {
        if (auto removed = pool_.limited->remove_version(row.key, marker); !removed)
            return std::unexpected(std::move(removed.error()));
        fault_point("reconcile.unhidden");
    }
    tell(row.key);
    return std::optional(done("the markers that hid it were removed"));
}

// A move that was cut short by something else than a crash may have left it there.
Result<std::optional<RepairEnd>> Repairer::find_in_other_pool(const ObjectRecord& row) {
    if (!row.sha256) return std::optional<RepairEnd>();
    for (const KnownPool& known : drivers_.pools()) {
        const bool may_have_it = known.id != row.pool && known.id != 0 && known.problem.empty() &&
                                 known.settings.is_active && !known.settings.is_backup_target;
        if (!may_have_it) continue;
        const auto pool = drivers_.find(known.id);
        if (!pool) continue;
        // A copy that is noted is what it is restored from, and no home for a part of the image.
        const auto copy = catalog_.find_backup(known.id, row.key);
        if (!copy) return std::unexpected(copy.error());
        if (*copy) continue;
        // What a move left there is not to be cleaned up while it becomes the image's home.
        const auto hold = ImageHold::take(catalog_, known, row, 0);
        if (!hold) return std::unexpected(hold.error());
        if (!*hold) continue;
        const auto info = look(*pool->limited, row.key);
        if (!info) return std::unexpected(info.error());
        if (!*info || !is_that_of(row, **info)) continue;
        auto pointed = point_here(row, **info, known.id);
        if (!pointed) return std::unexpected(std::move(pointed.error()));
        return std::optional(std::move(*pointed));
    }
    return std::optional<RepairEnd>();
}

Result<RepairEnd> Repairer::point_here(const ObjectRecord& row, const ObjectInfo& info,
                                       PoolId pool) {
    ObjectRecord object = row;
    object.sha256 = info.sha256;
    object.store_etag = info.etag;
    object.version_id = info.version_id;
    fault_point("reconcile.relocate");
    const auto done_so =
        catalog_.relocate({.objects = {std::move(object)}, .to = pool, .now_s = rules_.now_s});
    if (!done_so) return std::unexpected(done_so.error());
    tell(row.key);
    return done(fmt::format("the row names pool {}, which has it", drivers_.name_of(pool)));
}

// ---- from backup

// What is in its place now, if anything, is set aside once there is something to restore.
Result<std::optional<RepairEnd>> Repairer::restore(const ObjectRecord& row,
                                                   const ObjectInfo* in_place) {
    const auto backups = catalog_.backups_of(row.key);
    if (!backups) return std::unexpected(backups.error());
    std::optional<Error> failed;
    for (const BackupRecord& backup : *backups) {
        const bool matches = backup.size == row.size &&
                             (!row.sha256 || !backup.sha256 || row.sha256 == backup.sha256);
        if (!matches) continue;
        const auto is_good = has_good_content(backup, row);
        if (!is_good) failed = is_good.error();
        if (!is_good || !*is_good) continue;
        if (in_place != nullptr) {
            if (auto aside = set_aside(*in_place); !aside)
                return std::unexpected(std::move(aside.error()));
            in_place = nullptr;
        }
        if (const auto restored = restore_from(backup, row); !restored)
            return std::unexpected(restored.error());
        tell(row.key);
        return std::optional(
            done(fmt::format("restored from backup in pool {}", drivers_.name_of(backup.pool))));
    }
    if (failed) return std::unexpected(std::move(*failed));
    return std::optional<RepairEnd>();
}

// Before anything makes room for it.
Result<bool> Repairer::has_good_content(const BackupRecord& backup, const ObjectRecord& row) {
    const auto from = drivers_.find(backup.pool);
    if (!from) return std::unexpected(from.error());
    const auto info = look(*from->limited, backup.key);
    if (!info) return std::unexpected(info.error());
    const auto& sha256 = row.sha256 ? row.sha256 : backup.sha256;
    return *info && (*info)->size == row.size && (!sha256 || (*info)->sha256 == sha256);
}

Result<void> Repairer::restore_from(const BackupRecord& backup, const ObjectRecord& row) {
    const auto from = drivers_.find(backup.pool);
    if (!from) return std::unexpected(from.error());
    PutOptions options{.size = row.size, .sha256 = row.sha256 ? row.sha256 : backup.sha256};
    if (!row.content_type.empty()) options.content_type = row.content_type;
    if (rules_.cache_control)
        options.cache_control = rules_.cache_control(row.key, row.content_type);
    options.modified_s = row.modified_s;
    auto copied = copy_object(*from->limited, backup.key, *pool_.limited, row.key, options);
    if (!copied) return std::unexpected(std::move(copied.error()));
    fault_point("reconcile.restored");
    copied->key = row.key;
    copied->modified_s = row.modified_s;
    return adopt(*copied);
}

// ---- no row

Result<RepairEnd> Repairer::unknown(const Verdict& verdict) {
    if (verdict.is_deleted) {
        if (auto aside = set_aside(*verdict.object); !aside)
            return std::unexpected(std::move(aside.error()));
        return done("set aside: its image was deleted");
    }
    if (pool_.known.settings.is_backup_target)
        return stays("no record says what it is a copy of; remove it where nobody needs it");
    if (auto adopted = adopt(*verdict.object); !adopted)
        return std::unexpected(std::move(adopted.error()));
    return done("taken into the catalog");
}

// ---- the row names another pool

// Nothing may bring the image back here while its objects are looked at and taken away.
Result<RepairEnd> Repairer::elsewhere(const Verdict& verdict) {
    const ObjectRecord& row = *verdict.row;
    if (drivers_.mirror_of(row.pool) == pool_.known.id)
        return copy_again(row.key, "it is to be here as a copy");
    auto hold = ImageHold::take(catalog_, pool_.known, row, asking_);
    if (!hold) return std::unexpected(std::move(hold.error()));
    if (!*hold) return stays("a job is at work on it");
    const auto now = catalog_.find(row.key);
    if (!now) return std::unexpected(now.error());
    if (!*now || (*now)->pool != row.pool) return stays("it changed meanwhile");
    return elsewhere_and_held(verdict);
}

Result<RepairEnd> Repairer::elsewhere_and_held(const Verdict& verdict) {
    const ObjectRecord& row = *verdict.row;
    const auto home = drivers_.find(row.pool);
    if (!home) return std::unexpected(home.error());
    if (auto apart = drivers_.require_apart(*home, pool_, row.key); !apart) {
        if (apart.error().kind == ErrorKind::misconfigured) return stays(apart.error().text);
        return std::unexpected(std::move(apart.error()));
    }
    const auto there = look(*home->limited, row.key);
    if (!there) return std::unexpected(there.error());
    const bool is_home_good =
        *there && (*there)->size == row.size && (!row.sha256 || (*there)->sha256 == row.sha256);
    if (is_home_good) {
        if (auto aside = set_aside(*verdict.object); !aside)
            return std::unexpected(std::move(aside.error()));
        return done(fmt::format("set aside: pool {} has it", home->driver->pool()));
    }
    const auto here = look(*pool_.limited, row.key);
    if (!here) return std::unexpected(here.error());
    const bool is_here_good = *here && (*here)->size == row.size &&
                              (row.sha256 ? (*here)->sha256 == row.sha256 : !*there);
    if (is_here_good) return point_here(row, **here, pool_.known.id);
    return stays(fmt::format("neither this nor what pool {} has is what the catalog says",
                             home->driver->pool()));
}

// ---- both, and they differ

Result<RepairEnd> Repairer::wrong(const Verdict& verdict) {
    const ObjectRecord& row = *verdict.row;
    if (row.role != Role::variant) {
        auto restored = restore(row, &*verdict.object);
        if (!restored) return std::unexpected(std::move(restored.error()));
        if (*restored) return std::move(**restored);
        return stays(
            "no backup has what the catalog says; where this is the right one, scan takes "
            "it in");
    }
    if (auto aside = set_aside(*verdict.object); !aside)
        return std::unexpected(std::move(aside.error()));
    if (auto removed = remove_row(row); !removed)
        return std::unexpected(std::move(removed.error()));
    return done("set aside, and its row removed; it is made again when it is asked for");
}

Result<RepairEnd> Repairer::stale(const Verdict& verdict) {
    ObjectInfo info = *verdict.object;
    info.modified_s = verdict.row->modified_s;  // the same content was not modified
    if (auto adopted = adopt(info); !adopted) return std::unexpected(std::move(adopted.error()));
    tell(verdict.key);
    return done("the row says what the store does");
}

// ---- the image lives elsewhere

Result<RepairEnd> Repairer::late(const Verdict& verdict) {
    const auto image = parse_image_key(verdict.key).image;
    if (!image || !verdict.home) return stays("it is of no image");
    if (!verdict.row) {
        if (auto adopted = adopt(*verdict.object); !adopted)
            return std::unexpected(std::move(adopted.error()));
    }
    fault_point("reconcile.queue_move");
    const NewJob job = move_job({.image = image, .key = {}, .to = *verdict.home}, pool_.known.id,
                                kMovePriority, "");
    const auto queued = catalog_.queue_job(job, rules_.now_s);
    if (!queued) return std::unexpected(queued.error());
    return done(
        fmt::format("job {} moves it to pool {}", *queued, drivers_.name_of(*verdict.home)));
}

// ---- versions

Result<RepairEnd> Repairer::hidden(const Verdict& verdict) {
    Driver& driver = *pool_.limited;
    const std::string& key = verdict.key;
    const auto now = driver.head(key);
    if (!now && now.error().kind != ErrorKind::not_found) return std::unexpected(now.error());
    if (now) {
        if (!verdict.row || verdict.row->pool != pool_.known.id)
            return stays("no row or copy of this pool says which version is the right one");
        const Match match = compare(*verdict.row, *now);
        if (match != Match::same || now->version_id.empty())
            return stays("the newest version is not what the catalog says");
        fault_point("reconcile.remove_versions");
        if (auto removed = driver.remove_older_versions(key, now->version_id); !removed)
            return std::unexpected(std::move(removed.error()));
        return done("the older versions were removed");
    }
    if (verdict.row) return stays("the object is hidden; see its row");
    if (verdict.is_deleted) {
        fault_point("reconcile.remove_versions");
        if (auto removed = driver.remove(key); !removed)
            return std::unexpected(std::move(removed.error()));
        return done("removed for good: its image was deleted");
    }
    if (verdict.hidden == 0 && !verdict.object->version_id.empty()) {
        if (auto removed = driver.remove_version(key, verdict.object->version_id); !removed)
            return std::unexpected(std::move(removed.error()));
        return done("a marker over nothing was removed");
    }
    return stays("hidden content that no row names; remove it, or unhide it and scan");
}

}  // namespace tidepool::storage
