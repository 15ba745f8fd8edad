// Objects, images and backups in SQLite.
#include "storage/catalog_sqlite.h"
#include "storage/job_keys.h"
#include "storage/move_jobs.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

using sqlite::Query;
using sqlite::run;

#define OBJECT_COLUMNS                                                                         \
    "key, pool, image, role, size, sha256, content_type, modified_s, store_etag, version_id, " \
    "added_s"

constexpr const char* kFind = "SELECT " OBJECT_COLUMNS " FROM objects WHERE key = ?1";
constexpr const char* kEndClean =
    "UPDATE jobs SET state = 4, finished_s = ?2 WHERE id = ?1 AND state = 0";
constexpr const char* kList =
    "SELECT " OBJECT_COLUMNS " FROM objects WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
constexpr const char* kListPool =
    "SELECT " OBJECT_COLUMNS
    " FROM objects WHERE pool = ?4 AND key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
#define INSERT_OBJECT                                     \
    "INSERT INTO objects (" OBJECT_COLUMNS                \
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, " \
    "?11)"
constexpr const char* kInsert = INSERT_OBJECT;
constexpr const char* kInsertNew = INSERT_OBJECT " ON CONFLICT DO NOTHING";
constexpr const char* kReplace =
    "UPDATE objects SET pool = ?2, image = ?3, role = ?4, size = ?5, sha256 = ?6, "
    "content_type = ?7, modified_s = ?8, store_etag = ?9, version_id = ?10, added_s = ?11 "
    "WHERE key = ?1";
constexpr const char* kLearnDigest =
    "UPDATE objects SET sha256 = ?2 WHERE key = ?1 AND pool = ?3 AND size = ?4 AND store_etag = ?5 "
    "AND version_id = ?6 AND sha256 IS NULL";
constexpr const char* kRemove = "DELETE FROM objects WHERE key = ?1";

#define IMAGE_COLUMNS "uuid, pool, original, state, uploaded_s, moved_s, metadata, owner"
#define IMAGE_FIELDS \
    IMAGE_COLUMNS ", EXISTS (SELECT 1 FROM private_images AS p WHERE p.image = images.uuid)"
constexpr const char* kFindImage = "SELECT " IMAGE_FIELDS " FROM images WHERE uuid = ?1";
constexpr const char* kListImages =
    "SELECT " IMAGE_FIELDS " FROM images WHERE uuid > ?1 ORDER BY uuid LIMIT ?2";
constexpr const char* kListImagesOfPool =
    "SELECT " IMAGE_FIELDS " FROM images WHERE pool = ?3 AND uuid > ?1 ORDER BY uuid LIMIT ?2";
constexpr const char* kListImagesOfOwner =
    "SELECT " IMAGE_FIELDS
    " FROM images WHERE owner = ?3 AND owner <> '' AND uuid > ?1 ORDER BY uuid LIMIT ?2";
constexpr const char* kAddImage =
    "INSERT INTO images (" IMAGE_COLUMNS
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
constexpr const char* kPutImage =
    "INSERT OR REPLACE INTO images (" IMAGE_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr const char* kRemoveImage = "DELETE FROM images WHERE uuid = ?1 AND original = ?2";
constexpr const char* kMoveImage =
    "UPDATE images SET pool = ?3, moved_s = ?4 WHERE uuid = ?1 AND original = ?2";

constexpr const char* kIsDeleted = "SELECT 1 FROM deletions WHERE image = ?1";
constexpr const char* kDelete = "INSERT OR REPLACE INTO deletions VALUES (?1, ?2)";
constexpr const char* kDeleting = "UPDATE images SET state = 2 WHERE uuid = ?1";
constexpr const char* kForgetImage = "DELETE FROM images WHERE uuid = ?1";
constexpr const char* kUnended =
    "SELECT d.image FROM deletions AS d WHERE d.image > ?1 "
    "AND EXISTS (SELECT 1 FROM images AS i WHERE i.uuid = d.image) ORDER BY d.image LIMIT ?2";
constexpr const char* kHomeOf = "SELECT pool FROM images WHERE uuid = ?1";
constexpr const char* kIsPrivate = "SELECT 1 FROM private_images WHERE image = ?1";
constexpr const char* kMakePrivate =
    "INSERT INTO private_images (image) SELECT uuid FROM images WHERE uuid = ?1 ON CONFLICT DO "
    "NOTHING";
constexpr const char* kMakePublic = "DELETE FROM private_images WHERE image = ?1";
constexpr const char* kForgetViews = "DELETE FROM views WHERE image = ?1";
// What is still being deleted stays deleted. Before the second, as what was deleted stays private
// for as long as anybody is told that it was there.
#define ENDED_BEFORE "deleted_s < ?1 AND image NOT IN (SELECT uuid FROM images)"
constexpr const char* kForgetPrivacy =
    "DELETE FROM private_images WHERE image IN (SELECT image FROM deletions WHERE " ENDED_BEFORE
    ")";
constexpr const char* kForgetDeletions = "DELETE FROM deletions WHERE " ENDED_BEFORE;

#define BACKUP_COLUMNS "pool, key, original, size, sha256, store_etag, version_id, added_s"
constexpr const char* kFindBackup =
    "SELECT " BACKUP_COLUMNS " FROM backups WHERE pool = ?1 AND key = ?2";
constexpr const char* kBackupsOf =
    "SELECT " BACKUP_COLUMNS " FROM backups WHERE original = ?1 ORDER BY pool, key";
constexpr const char* kListBackups =
    "SELECT " BACKUP_COLUMNS " FROM backups WHERE pool = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
constexpr const char* kPutBackup =
    "INSERT OR REPLACE INTO backups (" BACKUP_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr const char* kRemoveBackup = "DELETE FROM backups WHERE pool = ?1 AND key = ?2";

// A page of a listing; more rows than that are never held at once.
constexpr std::size_t kMaxPage = 10'000;

ObjectRecord object_of(const Query& query) {
    ObjectRecord object;
    object.key = query.text(0);
    object.pool = query.number(1);
    object.image = query.bytes<16>(2);
    object.role = static_cast<Role>(query.number(3));
    object.size = static_cast<std::uint64_t>(query.number(4));
    object.sha256 = query.bytes<32>(5);
    object.content_type = query.text(6);
    object.modified_s = query.number(7);
    object.store_etag = query.text(8);
    object.version_id = query.text(9);
    object.added_s = query.number(10);
    return object;
}

ImageRecord image_of(const Query& query) {
    ImageRecord image;
    image.uuid = query.bytes<16>(0).value_or(Uuid{});
    image.pool = query.number(1);
    image.original = query.text(2);
    image.state = static_cast<ImageRecord::State>(query.number(3));
    image.uploaded_s = query.number(4);
    image.moved_s = query.number(5);
    image.metadata = query.text(6);
    image.owner = query.text(7);
    image.is_private = query.number(8) != 0;
    return image;
}

BackupRecord backup_of(const Query& query) {
    BackupRecord backup;
    backup.pool = query.number(0);
    backup.key = query.text(1);
    backup.original = query.text(2);
    backup.size = static_cast<std::uint64_t>(query.number(3));
    backup.sha256 = query.bytes<32>(4);
    backup.store_etag = query.text(5);
    backup.version_id = query.text(6);
    backup.added_s = query.number(7);
    return backup;
}

std::optional<ObjectRecord> find_row(sqlite::Connection& db, std::string_view key) {
    Query query(db, kFind, key);
    if (!query.next()) return std::nullopt;
    return object_of(query);
}

std::size_t write_row(sqlite::Connection& db, const char* sql, const ObjectRecord& object) {
    return run(db, sql, object.key, object.pool, object.image, object.role, object.size,
               object.sha256, object.content_type, object.modified_s, object.store_etag,
               object.version_id, object.added_s);
}

void write_image(sqlite::Connection& db, const char* sql, const ImageRecord& image) {
    run(db, sql, image.uuid, image.pool, image.original, image.state, image.uploaded_s,
        image.moved_s, image.metadata, image.owner);
}

// An original with a UUID is an image's beginning.
void add_image(sqlite::Connection& db, const ObjectRecord& object) {
    if (!object.image || object.role != Role::original) return;
    write_image(db, kAddImage,
                {.uuid = *object.image,
                 .pool = object.pool,
                 .original = object.key,
                 .state = ImageRecord::State::complete,
                 .uploaded_s = object.modified_s,
                 .moved_s = object.added_s,
                 .metadata = {}});
}

void move_image(sqlite::Connection& db, const ObjectRecord& object, PoolId to, std::int64_t now_s) {
    if (object.image) run(db, kMoveImage, *object.image, object.key, to, now_s);
}

bool same_content(const ObjectRecord& row, const ObjectRecord& seen) {
    if (row.size != seen.size) return false;
    if (row.sha256 && seen.sha256) return row.sha256 == seen.sha256;
    if (!row.store_etag.empty() && !seen.store_etag.empty()) {
        return row.store_etag == seen.store_etag;
    }
    return row.modified_s == seen.modified_s;
}

void fill(std::string& text, const std::string& known) {
    if (text.empty()) text = known;
}

// What the row becomes when its object was seen like that; see Catalog::adopt.
ObjectRecord merged(const ObjectRecord& row, const ObjectRecord& seen) {
    ObjectRecord result = seen;
    result.image = row.image;
    result.role = row.role;
    result.added_s = row.added_s;
    if (!same_content(row, seen)) return result;
    if (!result.sha256) result.sha256 = row.sha256;
    fill(result.content_type, row.content_type);
    fill(result.store_etag, row.store_etag);
    fill(result.version_id, row.version_id);
    // The store's time is that of the upload to it; ours may be older.
    if (!row.store_etag.empty() && row.store_etag == seen.store_etag) {
        result.modified_s = row.modified_s;
    }
    return result;
}

Adoption judge(const std::optional<ObjectRecord>& row, const ObjectRecord& seen) {
    if (!row) return Adoption::added;
    if (row->pool != seen.pool) return Adoption::foreign;
    return merged(*row, seen) == *row ? Adoption::unchanged : Adoption::changed;
}

// The first text above all that start with `prefix`. Keys are UTF-8, so none reaches "\xFF".
std::string end_of(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF)
        end.pop_back();
    if (end.empty()) return "\xFF";
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    return end;
}

std::vector<ObjectRecord> list_rows(sqlite::Connection& db, std::optional<PoolId> pool,
                                    std::string_view prefix, std::string_view after,
                                    std::size_t limit) {
    std::string start(prefix);
    if (after >= prefix) {
        start = after;
        start.push_back('\0');  // the first text above `after`
    }
    const std::string end = end_of(prefix);
    const std::size_t rows = std::min(limit, kMaxPage);
    std::vector<ObjectRecord> objects;
    const auto collect = [&objects](Query& query) {
        while (query.next())
            objects.push_back(object_of(query));
    };
    if (pool) {
        Query query(db, kListPool, start, end, rows, *pool);
        collect(query);
    } else {
        Query query(db, kList, start, end, rows);
        collect(query);
    }
    return objects;
}

bool is_wanted_image(const ImageRecord& image, const ImageFilter& filter) {
    return (!filter.pool || image.pool == *filter.pool) &&
           (!filter.state || image.state == *filter.state) &&
           (filter.owner.empty() || image.owner == filter.owner) &&
           image.original.starts_with(filter.prefix);
}

// Those that are wanted of the rows that the query gives. One more than `looks` was asked for, to
// know whether there are more.
ImagePage page_of(Query& query, const ImageFilter& filter, std::size_t limit) {
    ImagePage page;
    std::optional<Uuid> last;
    for (std::size_t looked = 0; query.next(); ++looked) {
        if (looked == filter.looks || page.images.size() == limit) {
            page.next = last;
            return page;
        }
        ImageRecord image = image_of(query);
        last = image.uuid;
        if (is_wanted_image(image, filter)) page.images.push_back(std::move(image));
    }
    return page;
}

bool has_deletion(sqlite::Connection& db, const std::optional<Uuid>& image) {
    if (!image) return false;
    Query query(db, kIsDeleted, *image);
    return query.next();
}

std::optional<ImageRecord> find_image_row(sqlite::Connection& db, const Uuid& image) {
    Query query(db, kFindImage, image);
    if (!query.next()) return std::nullopt;
    return image_of(query);
}

// The original and the variants, wherever they are; nothing of an image that is not known.
std::vector<ObjectRecord> rows_of(sqlite::Connection& db, const Uuid& image) {
    std::vector<ObjectRecord> objects;
    const auto found = find_image_row(db, image);
    if (!found) return objects;
    if (auto row = find_row(db, found->original)) objects.push_back(std::move(*row));
    if (const auto prefix = variants_prefix(found->original)) {
        std::vector<ObjectRecord> page;
        do {
            page =
                list_rows(db, std::nullopt, *prefix, page.empty() ? "" : page.back().key, kMaxPage);
            objects.insert(objects.end(), page.begin(), page.end());
        } while (page.size() == kMaxPage);
    }
    return objects;
}

std::optional<BackupRecord> find_copy(sqlite::Connection& db, PoolId pool, std::string_view key) {
    Query query(db, kFindBackup, pool, key);
    if (!query.next()) return std::nullopt;
    return backup_of(query);
}

[[noreturn]] void refuse(ErrorKind kind, const std::string& why) {
    throw sqlite::Failure{Error{kind, "catalog: " + why}};
}

void refuse_deleted(sqlite::Connection& db, const ObjectRecord& object) {
    if (has_deletion(db, object.image))
        refuse(ErrorKind::conflict,
               object.key + " belongs to an image that was deleted, and is not put again");
}

}  // namespace

Result<std::optional<ObjectRecord>> SqliteCatalog::find(std::string_view key) {
    return read([key](sqlite::Connection& db) { return find_row(db, key); });
}

Result<Location> SqliteCatalog::locate(std::string_view key) {
    return read([key](sqlite::Connection& db) {
        const std::optional<Uuid> image = parse_image_key(key).image;
        Location found{.row = find_row(db, key), .is_deleted = has_deletion(db, image)};
        if (!image) return found;
        found.is_private = Query(db, kIsPrivate, *image).next();
        Query home(db, kHomeOf, *image);
        if (home.next()) found.home = home.number(0);
        return found;
    });
}

// An original with other content than its owner sent: that may be sent again.
void SqliteCatalog::disown_replaced(Writing& writing, const ObjectRecord& row,
                                    const ObjectRecord& object) {
    if (row.image && row.role == Role::original && !same_content(row, object))
        disown(writing, *row.image);
}

Adoption SqliteCatalog::adopt_one(Writing& writing, const ObjectRecord& object) {
    if (has_deletion(writing.db, object.image)) return Adoption::deleted;
    if (is_upload(writing.db, object.image)) return Adoption::uploading;
    // Most are new where many are adopted, so that is tried first: one descent instead of two.
    if (write_row(writing.db, kInsertNew, object) == 1) {
        add_image(writing.db, object);
        writing.account(object, 1);
        writing.note_change();
        // Whoever mirrors has copies; others need not look for one at every new row.
        if (follow_) remove_copy(writing, object.pool, object.key);
        queue_followers(writing, object, object.added_s);
        return Adoption::added;
    }
    const auto row = find_row(writing.db, object.key);
    const Adoption result = judge(row, object);
    if (result != Adoption::changed) return result;
    const ObjectRecord changed = merged(*row, object);
    write_row(writing.db, kReplace, changed);
    disown_replaced(writing, *row, object);
    writing.account(*row, -1);
    writing.account(changed, 1);
    writing.note_change();
    if (!same_content(*row, object)) {
        queue_followers(writing, changed, object.added_s);
        outdate_content(writing, *row, object.added_s);
    }
    return result;
}

Result<std::vector<Adoption>> SqliteCatalog::adopt(std::span<const ObjectRecord> objects,
                                                   const SaveScan& scan) {
    const auto work = [&](Writing& writing) {
        std::vector<Adoption> results;
        results.reserve(objects.size());
        for (const ObjectRecord& object : objects)
            results.push_back(adopt_one(writing, object));
        if (scan) save_scan(writing, scan(results));
        return results;
    };
    return write(work, sqlite::Durability::soon);
}

Result<std::vector<Adoption>> SqliteCatalog::would_adopt(std::span<const ObjectRecord> objects) {
    return read([&](sqlite::Connection& db) {
        std::vector<Adoption> results;
        results.reserve(objects.size());
        for (const ObjectRecord& object : objects) {
            results.push_back(has_deletion(db, object.image) ? Adoption::deleted
                              : is_upload(db, object.image)
                                  ? Adoption::uploading
                                  : judge(find_row(db, object.key), object));
        }
        return results;
    });
}

std::optional<ObjectRecord> SqliteCatalog::put_row(Writing& writing, const ObjectRecord& object) {
    auto row = find_row(writing.db, object.key);
    write_row(writing.db, row ? kReplace : kInsert, object);
    if (row) {
        writing.account(*row, -1);
        disown_replaced(writing, *row, object);
        if (!same_content(*row, object)) {
            outdate_content(writing, *row, object.added_s);
        } else if (row->pool != object.pool) {
            queue_outdated(writing,
                           {.why = Outdated::Why::moved,
                            .image = row->image,
                            .keys = {row->key},
                            .from = row->pool,
                            .to = object.pool},
                           object.added_s);
        }
        if (row->pool != object.pool) move_image(writing.db, object, object.pool, object.added_s);
    }
    add_image(writing.db, object);
    writing.account(object, 1);
    writing.note_change();
    remove_copy(writing, object.pool, object.key);
    queue_followers(writing, object, object.added_s);
    return row;
}

Result<std::optional<ObjectRecord>> SqliteCatalog::put_object(const ObjectRecord& object) {
    return write([&](Writing& writing) {
        refuse_deleted(writing.db, object);
        return put_row(writing, object);
    });
}

Result<void> SqliteCatalog::put_in_place(const ObjectRecord& object) {
    return write([&](Writing& writing) {
        refuse_deleted(writing.db, object);
        const auto row = find_row(writing.db, object.key);
        const auto image = object.image ? find_image_row(writing.db, *object.image) : std::nullopt;
        if ((row && row->pool != object.pool) || (image && image->pool != object.pool))
            refuse(ErrorKind::conflict, object.key + " has its place in another pool");
        put_row(writing, object);
    });
}

Result<std::optional<ObjectRecord>> SqliteCatalog::put_variant(const ObjectRecord& variant,
                                                               std::string_view original,
                                                               bool may_lack_row) {
    const auto work = [&](Writing& writing) {
        if (has_deletion(writing.db, variant.image))
            refuse(ErrorKind::not_found, variant.key + " belongs to an image that was deleted");
        const auto row = find_row(writing.db, original);
        if (!row && !may_lack_row)
            refuse(ErrorKind::not_found,
                   fmt::format("{}, the original of {}, was removed", original, variant.key));
        if (row && row->pool != variant.pool)
            refuse(ErrorKind::conflict,
                   fmt::format("{} is in another pool than its variant {}", original, variant.key));
        return put_row(writing, variant);
    };
    // It can be made again.
    return write(work, sqlite::Durability::soon);
}

Result<bool> SqliteCatalog::learn_digest(const ObjectRecord& object) {
    const auto work = [&](Writing& writing) {
        const std::size_t changed =
            run(writing.db, kLearnDigest, object.key, *object.sha256, object.pool, object.size,
                object.store_etag, object.version_id);
        if (changed > 0) writing.note_change();
        return changed > 0;
    };
    return write(work, sqlite::Durability::soon);
}

Result<bool> SqliteCatalog::remove_object(std::string_view key, PoolId pool) {
    return write([&](Writing& writing) {
        const auto row = find_row(writing.db, key);
        if (!row || row->pool != pool) return false;
        clean_copies_of(writing, *row, std::time(nullptr));
        run(writing.db, kRemove, key);
        // That of an image which is being deleted stays until all is done, as who takes that up
        // again finds it by this.
        const bool is_being_deleted = has_deletion(writing.db, row->image);
        const bool has_gone = is_being_deleted ? row->role == Role::original
                              : row->image     ? run(writing.db, kRemoveImage, *row->image, key) > 0
                                               : false;
        if (has_gone) {
            disown(writing, *row->image);
            run(writing.db, kForgetViews, *row->image);
        }
        writing.account(*row, -1);
        writing.note_change();
        // Of an image that was deleted its deletion has told.
        if (!is_being_deleted) outdate_content(writing, *row, std::time(nullptr));
        return true;
    });
}

void SqliteCatalog::clean_after(Writing& writing, const JobRecord& move, std::int64_t now_s) {
    const auto target = target_of(move);
    if (!target) return;  // it cannot have moved anything
    std::vector<ObjectRecord> rows;
    if (target->image) {
        rows = rows_of(writing.db, *target->image);
    } else if (auto row = find_row(writing.db, target->key)) {
        rows.push_back(std::move(*row));
    }
    std::erase_if(rows, [&](const ObjectRecord& row) { return row.pool == target->to; });
    if (!rows.empty()) queue_one(writing, clean_after_move(*target, rows, now_s), now_s);
}

// Of what a move copies only the rows tell, so what it may have copied of one that goes is noted.
// With an original goes that of its image, by which the other rows are found.
void SqliteCatalog::clean_copies_of(Writing& writing, const ObjectRecord& row, std::int64_t now_s) {
    const std::string name = row.image ? to_text(*row.image) : row.key;
    for (const JobRecord& move : named_in(writing.db, move_key(name))) {
        const auto target = target_of(move);
        const bool may_have_it =
            target && target->to != row.pool && move.begun > 0 && name_of(*target) == name;
        if (!may_have_it) continue;
        const bool is_whole = row.image && row.role == Role::original;
        const auto rows = is_whole ? rows_of(writing.db, *row.image) : std::vector{row};
        queue_one(writing, clean_of_removed(*target, rows, now_s), now_s);
    }
}

void SqliteCatalog::relocate_one(Writing& writing, const ObjectRecord& object,
                                 const Relocation& relocation) {
    const auto row = find_row(writing.db, object.key);
    if (!row || row->pool != object.pool) {
        refuse(ErrorKind::conflict, fmt::format("{} is no longer in pool number {}, so it does not "
                                                "move",
                                                object.key, object.pool));
    }
    const bool is_same = row->size == object.size &&
                         (!row->sha256 || !object.sha256 || row->sha256 == object.sha256);
    if (!is_same)
        refuse(ErrorKind::conflict, object.key + " was replaced meanwhile, so it does not move");
    ObjectRecord moved = *row;
    moved.pool = relocation.to;
    if (object.sha256) moved.sha256 = object.sha256;
    moved.store_etag = object.store_etag;
    moved.version_id = object.version_id;
    write_row(writing.db, kReplace, moved);
    move_image(writing.db, moved, relocation.to, relocation.now_s);
    writing.account(*row, -1);
    writing.account(moved, 1);
    writing.note_change();
    remove_copy(writing, relocation.to, object.key);
    const auto copy = std::ranges::find(relocation.copies, object.key, &BackupRecord::key);
    if (copy == relocation.copies.end()) queue_followers(writing, moved, relocation.now_s);
}

// Those that an earlier move left behind it, where all that they are about has come back.
void SqliteCatalog::end_needless_cleans(Writing& writing, const Relocation& relocation) {
    if (relocation.objects.empty()) return;
    const MoveTarget target{
        .image = relocation.image, .key = relocation.objects.front().key, .to = relocation.to};
    for (const JobRecord& clean : named_in(writing.db, clean_key(target.to, name_of(target)))) {
        const auto cleaning = cleaning_of(clean);
        if (!cleaning || clean.state != JobRecord::State::queued) continue;
        const bool is_needless =
            std::ranges::all_of(cleaning->leftovers, [&](const Leftover& each) {
                const auto row = find_row(writing.db, each.key);
                return row && row->pool == relocation.to;
            });
        if (is_needless) run(writing.db, kEndClean, clean.id, relocation.now_s);
    }
}

void SqliteCatalog::relocate_all(Writing& writing, const Relocation& relocation) {
    if (has_deletion(writing.db, relocation.image))
        refuse(ErrorKind::conflict, "an image that was deleted does not move");
    for (const ObjectRecord& object : relocation.objects)
        relocate_one(writing, object, relocation);
    if (relocation.image) {
        for (const ObjectRecord& row : rows_of(writing.db, *relocation.image)) {
            if (row.pool == relocation.to) continue;
            refuse(ErrorKind::conflict, row.key + " has come to its image meanwhile");
        }
    }
    outdate_moved(writing, relocation);
    end_needless_cleans(writing, relocation);
    for (const BackupRecord& copy : relocation.copies)
        put_copy(writing, copy);
    for (const NewJob& job : relocation.then)
        queue_one(writing, job, relocation.now_s);
    const JobLease& by = relocation.by;
    if (by.job != 0 && !finish_one(writing, by.job, by.owner, relocation.now_s))
        refuse(ErrorKind::conflict, fmt::format("job {} is somebody else's by now", by.job));
}

Result<void> SqliteCatalog::relocate(const Relocation& relocation) {
    return write([&](Writing& writing) { relocate_all(writing, relocation); });
}

Result<std::vector<ObjectRecord>> SqliteCatalog::list(std::optional<PoolId> pool,
                                                      std::string_view prefix,
                                                      std::string_view after, std::size_t limit) {
    return read([&](sqlite::Connection& db) { return list_rows(db, pool, prefix, after, limit); });
}

Result<std::vector<ObjectRecord>> SqliteCatalog::objects_of(const Uuid& image) {
    return read([&](sqlite::Connection& db) { return rows_of(db, image); });
}

Result<std::optional<ImageRecord>> SqliteCatalog::find_image(const Uuid& image) {
    return read([&](sqlite::Connection& db) { return find_image_row(db, image); });
}

Result<void> SqliteCatalog::put_image(const ImageRecord& image) {
    return write([&](Writing& writing) { write_image(writing.db, kPutImage, image); });
}

Result<bool> SqliteCatalog::set_private(const Uuid& image, bool is_private) {
    return write([&](Writing& writing) {
        const auto known = find_image_row(writing.db, image);
        if (!known) return false;
        if (known->is_private == is_private) return true;
        run(writing.db, is_private ? kMakePrivate : kMakePublic, image);
        // What the edge has of it is for others than may see it from now on.
        outdate_image(writing, image, is_private ? Outdated::Why::hidden : Outdated::Why::shown,
                      std::time(nullptr));
        writing.note_change();
        return true;
    });
}

Result<ImagePage> SqliteCatalog::list_images(const ImageFilter& filter, std::size_t limit) {
    return read([&](sqlite::Connection& db) {
        // The empty blob is below all others.
        const std::span<const std::byte> after =
            filter.after ? std::as_bytes(std::span(*filter.after)) : std::span<const std::byte>();
        const std::size_t rows = filter.looks + 1;
        if (!filter.owner.empty()) {
            Query query(db, kListImagesOfOwner, after, rows, filter.owner);
            return page_of(query, filter, limit);
        }
        if (filter.pool) {
            Query query(db, kListImagesOfPool, after, rows, *filter.pool);
            return page_of(query, filter, limit);
        }
        Query query(db, kListImages, after, rows);
        return page_of(query, filter, limit);
    });
}

Result<JobId> SqliteCatalog::begin_deletion(const Uuid& image, const NewJob& job,
                                            std::int64_t now_s) {
    return write([&](Writing& writing) {
        run(writing.db, kDelete, image, now_s);
        run(writing.db, kDeleting, image);
        disown(writing, image);
        writing.note_change();
        outdate_image(writing, image, Outdated::Why::deleted, now_s);
        return queue_one(writing, job, now_s);
    });
}

Result<bool> SqliteCatalog::is_deleted(const Uuid& image) {
    return read([&](sqlite::Connection& db) { return has_deletion(db, image); });
}

Result<void> SqliteCatalog::end_deletion(const Uuid& image) {
    return write([&](Writing& writing) {
        run(writing.db, kForgetImage, image);
        run(writing.db, kForgetViews, image);
    });
}

Result<std::vector<Uuid>> SqliteCatalog::unended_deletions(const Uuid& after, std::size_t limit) {
    return read([&](sqlite::Connection& db) {
        std::vector<Uuid> images;
        Query query(db, kUnended, after, std::min(limit, kPage));
        while (query.next()) {
            if (const auto image = query.bytes<16>(0)) images.push_back(*image);
        }
        return images;
    });
}

Result<std::size_t> SqliteCatalog::forget_deletions(std::int64_t before_s) {
    return write([&](Writing& writing) {
        run(writing.db, kForgetPrivacy, before_s);
        return run(writing.db, kForgetDeletions, before_s);
    });
}

void SqliteCatalog::follow_rows(Follow follow) {
    const std::lock_guard lock(writer_mutex_);
    follow_ = std::move(follow);
}

void SqliteCatalog::queue_followers(Writing& writing, const ObjectRecord& object,
                                    std::int64_t now_s) const {
    if (!follow_) return;
    if (const auto job = follow_(object)) queue_one(writing, *job, now_s);
}

void SqliteCatalog::follow_outdated(Outdate outdate) {
    const std::lock_guard lock(writer_mutex_);
    outdate_ = std::move(outdate);
}

void SqliteCatalog::queue_outdated(Writing& writing, const Outdated& what,
                                   std::int64_t now_s) const {
    if (!outdate_) return;
    if (const auto job = outdate_(what)) queue_one(writing, *job, now_s);
}

// All that an image has, as far as it is known now: it may be forgotten before anybody asks again.
void SqliteCatalog::outdate_image(Writing& writing, const Uuid& image, Outdated::Why why,
                                  std::int64_t now_s) const {
    if (!outdate_) return;
    Outdated what{.why = why, .image = image, .is_whole = true};
    if (const auto found = find_image_row(writing.db, image)) what.keys.push_back(found->original);
    for (ObjectRecord& row : rows_of(writing.db, image)) {
        if (what.keys.empty() || row.key != what.keys.front())
            what.keys.push_back(std::move(row.key));
    }
    queue_outdated(writing, what, now_s);
}

// The object of this row is another one by now, or has no row any more. With an original go the
// variants that were made of it.
void SqliteCatalog::outdate_content(Writing& writing, const ObjectRecord& row,
                                    std::int64_t now_s) const {
    const bool is_whole = row.image && row.role == Role::original;
    queue_outdated(writing, {.image = row.image, .keys = {row.key}, .is_whole = is_whole}, now_s);
}

// An image as one; of objects that are of none each.
void SqliteCatalog::outdate_moved(Writing& writing, const Relocation& relocation) const {
    if (!outdate_ || relocation.objects.empty()) return;
    Outdated what{.why = Outdated::Why::moved,
                  .image = relocation.image,
                  .from = relocation.objects.front().pool,
                  .to = relocation.to};
    what.is_whole = what.image.has_value();
    for (const ObjectRecord& object : relocation.objects) {
        if (!what.image) what.keys.clear();
        what.keys.push_back(object.key);
        if (!what.image) queue_outdated(writing, what, relocation.now_s);
    }
    if (what.image) queue_outdated(writing, what, relocation.now_s);
}

void SqliteCatalog::put_copy(Writing& writing, const BackupRecord& backup) {
    remove_copy(writing, backup.pool, backup.key);
    run(writing.db, kPutBackup, backup.pool, backup.key, backup.original, backup.size,
        backup.sha256, backup.store_etag, backup.version_id, backup.added_s);
    writing.account(backup.pool, Role::backup, 1, static_cast<std::int64_t>(backup.size));
}

bool SqliteCatalog::remove_copy(Writing& writing, PoolId pool, std::string_view key) {
    const auto old = find_copy(writing.db, pool, key);
    if (!old) return false;
    run(writing.db, kRemoveBackup, pool, key);
    writing.account(pool, Role::backup, -1, -static_cast<std::int64_t>(old->size));
    return true;
}

Result<void> SqliteCatalog::put_backup(const BackupRecord& backup) {
    return write([&](Writing& writing) {
        const auto row = find_row(writing.db, backup.key);
        if (row && row->pool == backup.pool) return;
        put_copy(writing, backup);
    });
}

Result<bool> SqliteCatalog::remove_backup(PoolId pool, std::string_view key) {
    return write([&](Writing& writing) { return remove_copy(writing, pool, key); });
}

Result<std::optional<BackupRecord>> SqliteCatalog::find_backup(PoolId pool, std::string_view key) {
    return read([&](sqlite::Connection& db) { return find_copy(db, pool, key); });
}

Result<std::vector<BackupRecord>> SqliteCatalog::list_backups(PoolId pool, std::string_view after,
                                                              std::size_t limit) {
    return read([&](sqlite::Connection& db) {
        std::vector<BackupRecord> backups;
        Query query(db, kListBackups, pool, after, std::min(limit, kMaxPage));
        while (query.next())
            backups.push_back(backup_of(query));
        return backups;
    });
}

Result<std::vector<BackupRecord>> SqliteCatalog::backups_of(std::string_view original) {
    return read([&](sqlite::Connection& db) {
        std::vector<BackupRecord> backups;
        Query query(db, kBackupsOf, original);
        while (query.next())
            backups.push_back(backup_of(query));
        return backups;
    });
}

}  // namespace tidepool::storage
