// Uploads, who owns what, and the keys of the API, in SQLite.
#include "storage/catalog_sqlite.h"

#include <algorithm>
#include <ctime>
#include <limits>

namespace tidepool::storage {

namespace {

using sqlite::Query;
using sqlite::run;

#define UPLOAD_COLUMNS "id, pool, owner, bytes, token, details, expires_s, image, key, process"
constexpr const char* kReserve =
    "INSERT INTO uploads (pool, owner, bytes, token, details, expires_s, image, key, process) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
// A session that has run out keeps nothing free, whether it is forgotten yet or not.
#define LIVE_UPLOAD "(image IS NOT NULL OR expires_s >= ?2)"
constexpr const char* kPoolUse =
    "SELECT (SELECT coalesce(sum(bytes), 0) FROM accounts WHERE pool = ?1), "
    "(SELECT coalesce(sum(bytes), 0) FROM uploads WHERE pool = ?1 AND " LIVE_UPLOAD ")";
constexpr const char* kOwnerUse =
    "SELECT (SELECT count FROM owners WHERE owner = ?1), "
    "(SELECT bytes FROM owners WHERE owner = ?1), "
    "(SELECT sum(bytes) FROM uploads WHERE owner = ?1 AND " LIVE_UPLOAD ")";
constexpr const char* kOpenSessions =
    "SELECT count(*) FROM uploads WHERE owner = ?1 AND image IS NULL AND token IS NOT NULL "
    "AND expires_s >= ?2";
constexpr const char* kFindSession =
    "SELECT " UPLOAD_COLUMNS
    " FROM uploads WHERE token = ?1 AND pool = ?2 AND image IS NULL ORDER BY id LIMIT 1";
constexpr const char* kFindReserved =
    "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE id = ?1 AND pool = ?2 AND image IS NULL";
constexpr const char* kBegin =
    "UPDATE uploads SET image = ?2, key = ?3, process = ?4, expires_s = ?5 WHERE id = ?1";
constexpr const char* kHasSession = "SELECT 1 FROM uploads WHERE token = ?1 AND image IS NULL";
constexpr const char* kReserved =
    "SELECT coalesce(sum(bytes), 0) FROM uploads WHERE pool = ?1 AND " LIVE_UPLOAD;
constexpr const char* kRenewUpload =
    "UPDATE uploads SET expires_s = ?2 WHERE id = ?1 AND process <> ''";
constexpr const char* kGiveBack =
    "UPDATE uploads SET image = NULL, key = '', process = '', expires_s = ?2 WHERE id = ?1";
constexpr const char* kAbandon =
    "INSERT INTO uploads (pool, owner, bytes, token, details, expires_s, image, key, process) "
    "SELECT pool, owner, 0, NULL, '', ?2, image, key, '' FROM uploads "
    "WHERE id = ?1 AND process <> ''";
constexpr const char* kClaimAbandoned =
    "UPDATE uploads SET process = '', bytes = 0, expires_s = ?3 WHERE id = ?1 AND process = ?2 AND "
    "expires_s = ?4 AND image IS NOT NULL";
constexpr const char* kIsOpenUpload =
    "SELECT 1 FROM uploads WHERE id = ?1 AND image = ?2 AND process <> ''";
constexpr const char* kDrop = "DELETE FROM uploads WHERE id = ?1";
constexpr const char* kOfImage = "SELECT 1 FROM uploads WHERE image = ?1";
constexpr const char* kOpenUploads =
    "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE image IS NOT NULL ORDER BY id";
constexpr const char* kForgetSessions =
    "DELETE FROM uploads WHERE image IS NULL AND expires_s < ?1";
constexpr const char* kDropUnused = "DELETE FROM uploads WHERE id = ?1 AND image IS NULL";

#define TUS_COLUMNS "id, token, owner, pool, upload, length, metadata, details, expires_s, image"
constexpr const char* kCountOpenTus =
    "SELECT count(*) FROM tus WHERE token = ?1 AND image IS NULL AND expires_s > unixepoch()";
// From now on it is nobody's session.
constexpr const char* kTakeSession =
    "UPDATE uploads SET token = NULL, bytes = ?2, expires_s = ?3 WHERE id = ?1";
constexpr const char* kBeginTus =
    "INSERT INTO tus (" TUS_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
constexpr const char* kFindTus = "SELECT " TUS_COLUMNS " FROM tus WHERE id = ?1";
constexpr const char* kTusUse =
    "SELECT (SELECT coalesce(sum(length), 0) FROM tus WHERE image IS NULL), "
    "count(*), coalesce(sum(length), 0) FROM tus WHERE owner = ?1 AND image IS NULL AND "
    "expires_s > ?2";
constexpr const char* kEndTus = "UPDATE tus SET image = ?2 WHERE id = ?1";
constexpr const char* kDropTus = "DELETE FROM tus WHERE id = ?1 RETURNING upload";
constexpr const char* kExpiredTus =
    "SELECT id FROM tus WHERE expires_s <= ?1 ORDER BY expires_s "
    "LIMIT ?2";

constexpr const char* kFindOwned = "SELECT image FROM owned WHERE owner = ?1 AND sha256 = ?2";
constexpr const char* kOwn = "INSERT INTO owned VALUES (?1, ?2, ?3, ?4)";
constexpr const char* kAddToOwner =
    "INSERT INTO owners VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET "
    "count = count + excluded.count, bytes = bytes + excluded.bytes";
constexpr const char* kTakeFromOwner =
    "UPDATE owners SET count = count - 1, bytes = bytes - ?2 WHERE owner = ?1";
constexpr const char* kDisown = "DELETE FROM owned WHERE image = ?1 RETURNING owner, bytes";
constexpr const char* kNewImage =
    "INSERT INTO images (uuid, pool, original, state, uploaded_s, moved_s, metadata, owner) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
constexpr const char* kDescribe =
    "UPDATE images SET state = ?2, metadata = ?3 WHERE uuid = ?1 AND state <> 2";

#define KEY_COLUMNS "hash, owner, name, limits, created_s, expires_s, revoked_s"
constexpr const char* kAddKey = "INSERT INTO api_keys (" KEY_COLUMNS
                                ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
constexpr const char* kFindKey = "SELECT " KEY_COLUMNS " FROM api_keys WHERE hash = ?1";
constexpr const char* kListKeys =
    "SELECT " KEY_COLUMNS
    " FROM api_keys WHERE (?1 = '' OR owner = ?1) AND (created_s, hash) > (?2, ?3) "
    "ORDER BY created_s, hash LIMIT ?4";
constexpr const char* kKeysBetween =
    "SELECT " KEY_COLUMNS
    " FROM api_keys WHERE hash BETWEEN ?1 AND ?2 AND revoked_s = 0 ORDER BY hash LIMIT ?3";
constexpr const char* kRevokeKey =
    "UPDATE api_keys SET revoked_s = ?2 WHERE hash = ?1 AND revoked_s = 0";

UploadRecord upload_of(const Query& query) {
    UploadRecord upload;
    upload.id = query.number(0);
    upload.pool = query.number(1);
    upload.owner = query.text(2);
    upload.bytes = static_cast<std::uint64_t>(query.number(3));
    upload.token = query.bytes<32>(4);
    upload.details = query.text(5);
    upload.expires_s = query.number(6);
    upload.image = query.bytes<16>(7);
    upload.key = query.text(8);
    upload.process = query.text(9);
    return upload;
}

ResumableUpload resumable_of(const Query& query) {
    ResumableUpload upload;
    upload.id = query.text(0);
    upload.token = query.bytes<32>(1).value_or(conf::Sha256Digest{});
    upload.owner = query.text(2);
    upload.pool = query.number(3);
    upload.upload = query.number(4);
    upload.length = static_cast<std::uint64_t>(query.number(5));
    upload.metadata = query.text(6);
    upload.details = query.text(7);
    upload.expires_s = query.number(8);
    upload.image = query.bytes<16>(9);
    return upload;
}

// The reservation of this token that nobody has used yet.
std::optional<UploadRecord> unused_session(sqlite::Connection& db, const conf::Sha256Digest& token,
                                           PoolId pool) {
    Query query(db, kFindSession, token, pool);
    if (!query.next()) return std::nullopt;
    return upload_of(query);
}

KeyRecord key_of(const Query& query) {
    KeyRecord key;
    key.hash = query.bytes<32>(0).value_or(conf::Sha256Digest{});
    key.owner = query.text(1);
    key.name = query.text(2);
    key.limits = query.text(3);
    key.created_s = query.number(4);
    key.expires_s = query.number(5);
    key.revoked_s = query.number(6);
    return key;
}

std::vector<KeyRecord> keys_of(Query& query) {
    std::vector<KeyRecord> keys;
    while (query.next())
        keys.push_back(key_of(query));
    return keys;
}

bool has_room(sqlite::Connection& db, const PoolRoom& pool, std::uint64_t bytes,
              std::int64_t now_s) {
    Query query(db, kPoolUse, pool.pool, now_s);
    query.next();
    const auto held = static_cast<std::uint64_t>(query.number(0));
    const auto reserved = static_cast<std::uint64_t>(query.number(1));
    if (pool.max_bytes && held + reserved + bytes > *pool.max_bytes) return false;
    return !pool.free_bytes || reserved + bytes <= *pool.free_bytes;
}

OwnerUse use_of(sqlite::Connection& db, std::string_view owner, std::int64_t now_s) {
    Query query(db, kOwnerUse, owner, now_s);
    query.next();
    return {.images = static_cast<std::uint64_t>(query.number(0)),
            .bytes = static_cast<std::uint64_t>(query.number(1)),
            .reserved_bytes = static_cast<std::uint64_t>(query.number(2))};
}

// Whether the owner's quota leaves so many bytes; how many it leaves goes into `made` as well.
bool has_quota(sqlite::Connection& db, std::string_view owner, std::uint64_t bytes,
               const OwnerLimits& limits, std::int64_t now_s, Reservation& made) {
    if (!limits.quota_bytes) return true;
    const OwnerUse use = use_of(db, owner, now_s);
    made.quota_left =
        *limits.quota_bytes - std::min(*limits.quota_bytes, use.bytes + use.reserved_bytes);
    if (bytes <= made.quota_left) return true;
    made.outcome = Reservation::Outcome::over_quota;
    return false;
}

// As it was before the upload that it was used for; see give_back_upload().
void restore_reservation(sqlite::Connection& db, UploadId upload, std::int64_t session_until_s) {
    if (session_until_s == 0)
        run(db, kDrop, upload);
    else
        run(db, kGiveBack, upload, session_until_s);
}

std::uint64_t open_sessions(sqlite::Connection& db, std::string_view owner, std::int64_t now_s) {
    Query query(db, kOpenSessions, owner, now_s);
    query.next();
    return static_cast<std::uint64_t>(query.number(0));
}

std::optional<Uuid> owned_image(sqlite::Connection& db, std::string_view owner,
                                const conf::Sha256Digest& sha256) {
    Query query(db, kFindOwned, owner, sha256);
    if (!query.next()) return std::nullopt;
    return query.bytes<16>(0);
}

[[noreturn]] void fail_upload(ErrorKind kind, const char* why) {
    throw sqlite::Failure{Error{kind, why}};
}

}  // namespace

bool SqliteCatalog::is_upload(sqlite::Connection& db, const std::optional<Uuid>& image) {
    if (!image) return false;
    Query query(db, kOfImage, *image);
    return query.next();
}

// It is nobody's any more, as it is being deleted.
void SqliteCatalog::disown(Writing& writing, const Uuid& image) {
    std::string owner;
    std::int64_t bytes = 0;
    {
        Query query(writing.db, kDisown, image);
        if (!query.next()) return;
        owner = query.text(0);
        bytes = query.number(1);
        query.next();  // to its end, or it is not done
    }
    run(writing.db, kTakeFromOwner, owner, bytes);
}

Result<Reservation> SqliteCatalog::reserve_upload(const UploadRecord& upload,
                                                  std::span<const PoolRoom> pools,
                                                  const OwnerLimits& limits, std::int64_t now_s) {
    const auto work = [&](Writing& writing) {
        Reservation made;
        const bool is_session = !upload.image;
        if (is_session && limits.sessions > 0 &&
            open_sessions(writing.db, upload.owner, now_s) >= limits.sessions) {
            made.outcome = Reservation::Outcome::too_many;
            return made;
        }
        if (!has_quota(writing.db, upload.owner, upload.bytes, limits, now_s, made)) return made;
        const auto pool = std::ranges::find_if(pools, [&](const PoolRoom& each) {
            return has_room(writing.db, each, upload.bytes, now_s);
        });
        if (pool == pools.end()) return made;
        made.outcome = Reservation::Outcome::reserved;
        made.upload = upload;
        made.upload.pool = pool->pool;
        run(writing.db, kReserve, pool->pool, upload.owner, upload.bytes, upload.token,
            upload.details, upload.expires_s, upload.image, upload.key, upload.process);
        made.upload.id = writing.db.last_id();
        return made;
    };
    // A session may be lost with the power. Where an upload goes may not: what lies there without a
    // row would be taken for another program's.
    return write(work, upload.image ? sqlite::Durability::on_return : sqlite::Durability::soon);
}

Result<std::optional<UploadRecord>> SqliteCatalog::begin_upload(const UploadRecord& upload) {
    return write([&](Writing& writing) -> std::optional<UploadRecord> {
        std::optional<UploadRecord> session;
        if (upload.id != 0) {
            Query query(writing.db, kFindReserved, upload.id, upload.pool);
            if (query.next()) session = upload_of(query);
        } else if (upload.token) {
            session = unused_session(writing.db, *upload.token, upload.pool);
        }
        if (!session) return std::nullopt;
        run(writing.db, kBegin, session->id, upload.image, upload.key, upload.process,
            upload.expires_s);
        session->image = upload.image;
        session->key = upload.key;
        session->process = upload.process;
        session->expires_s = upload.expires_s;
        return session;
    });
}

Result<bool> SqliteCatalog::has_session(const conf::Sha256Digest& token) {
    return read([&](sqlite::Connection& db) {
        Query query(db, kHasSession, token);
        return query.next();
    });
}

Result<std::uint64_t> SqliteCatalog::reserved_bytes(PoolId pool, std::int64_t now_s) {
    return read([&](sqlite::Connection& db) {
        Query query(db, kReserved, pool, now_s);
        query.next();
        return static_cast<std::uint64_t>(query.number(0));
    });
}

Result<void> SqliteCatalog::renew_uploads(std::span<const UploadId> uploads, std::int64_t until_s) {
    if (uploads.empty()) return {};
    return write(
        [&](Writing& writing) {
            for (const UploadId upload : uploads)
                run(writing.db, kRenewUpload, upload, until_s);
        },
        sqlite::Durability::soon);
}

Result<StoredUpload> SqliteCatalog::finish_upload(UploadId upload, const ImageRecord& image,
                                                  const ObjectRecord& original,
                                                  const conf::Sha256Digest& sent,
                                                  const NewJob& process) {
    return write([&](Writing& writing) -> StoredUpload {
        sqlite::Connection& db = writing.db;
        if (const auto other = owned_image(db, image.owner, sent))
            return {.image = *other, .is_duplicate = true};
        {
            Query query(db, kIsOpenUpload, upload, image.uuid);
            if (!query.next())
                fail_upload(ErrorKind::conflict, "the upload was given up meanwhile");
        }
        run(db, kNewImage, image.uuid, image.pool, image.original, image.state, image.uploaded_s,
            image.moved_s, image.metadata, image.owner);
        put_row(writing, original);
        run(db, kOwn, image.owner, sent, image.uuid, original.size);
        run(db, kAddToOwner, image.owner, 1, original.size);
        run(db, kDrop, upload);
        if (!process.type.empty()) queue_one(writing, process, image.uploaded_s);
        return {.image = image.uuid};
    });
}

Result<std::optional<Uuid>> SqliteCatalog::find_owned(std::string_view owner,
                                                      const conf::Sha256Digest& sha256) {
    return read([&](sqlite::Connection& db) { return owned_image(db, owner, sha256); });
}

Result<void> SqliteCatalog::drop_upload(UploadId upload) {
    return write([&](Writing& writing) { run(writing.db, kDrop, upload); },
                 sqlite::Durability::soon);
}

Result<void> SqliteCatalog::give_back_upload(UploadId upload, std::int64_t session_until_s) {
    return write(
        [&](Writing& writing) { restore_reservation(writing.db, upload, session_until_s); },
        sqlite::Durability::soon);
}

Result<void> SqliteCatalog::abandon_upload(UploadId upload, std::int64_t not_before_s,
                                           std::int64_t session_until_s) {
    return write([&](Writing& writing) {
        if (run(writing.db, kAbandon, upload, not_before_s) > 0)
            restore_reservation(writing.db, upload, session_until_s);
    });
}

Result<bool> SqliteCatalog::claim_abandoned(const UploadRecord& upload, std::int64_t now_s) {
    return write([&](Writing& writing) {
        return run(writing.db, kClaimAbandoned, upload.id, upload.process, now_s,
                   upload.expires_s) > 0;
    });
}

Result<void> SqliteCatalog::disown_image(const Uuid& image) {
    return write([&](Writing& writing) { disown(writing, image); });
}

Result<bool> SqliteCatalog::is_being_uploaded(const Uuid& image) {
    return read([&](sqlite::Connection& db) { return is_upload(db, image); });
}

Result<std::vector<UploadRecord>> SqliteCatalog::open_uploads() {
    return read([](sqlite::Connection& db) {
        std::vector<UploadRecord> uploads;
        Query query(db, kOpenUploads);
        while (query.next())
            uploads.push_back(upload_of(query));
        return uploads;
    });
}

Result<std::size_t> SqliteCatalog::forget_sessions(std::int64_t before_s) {
    return write([&](Writing& writing) { return run(writing.db, kForgetSessions, before_s); },
                 sqlite::Durability::soon);
}

Result<OwnerUse> SqliteCatalog::owner_use(std::string_view owner, std::int64_t now_s) {
    return read([&](sqlite::Connection& db) { return use_of(db, owner, now_s); });
}

Result<Reservation> SqliteCatalog::begin_resumable(const ResumableUpload& upload,
                                                   const PoolRoom& pool,
                                                   const OwnerLimits& limits) {
    return write([&](Writing& writing) -> Reservation {
        sqlite::Connection& db = writing.db;
        Reservation made;
        std::int64_t open = 0;
        {
            Query query(db, kCountOpenTus, upload.token);
            query.next();
            open = query.number(0);
        }
        if (open >= static_cast<std::int64_t>(kMostResumable)) {
            made.outcome = Reservation::Outcome::too_many;
            return made;
        }
        if (const auto session = unused_session(db, upload.token, pool.pool)) {
            made.upload = *session;
            run(db, kTakeSession, session->id, upload.length, upload.expires_s);
        } else {
            const std::int64_t now_s = std::time(nullptr);
            if (!has_quota(db, upload.owner, upload.length, limits, now_s, made)) return made;
            if (!has_room(db, pool, upload.length, now_s)) return made;
            made.upload.owner = upload.owner;
            made.upload.pool = pool.pool;
            made.upload.details = upload.details;
            run(db, kReserve, pool.pool, upload.owner, upload.length,
                std::optional<conf::Sha256Digest>(), upload.details, upload.expires_s,
                std::optional<Uuid>(), "", "");
            made.upload.id = db.last_id();
        }
        made.upload.token.reset();
        made.upload.bytes = upload.length;
        made.upload.expires_s = upload.expires_s;
        run(db, kBeginTus, upload.id, upload.token, upload.owner, pool.pool, made.upload.id,
            upload.length, upload.metadata, made.upload.details, upload.expires_s, upload.image);
        made.outcome = Reservation::Outcome::reserved;
        return made;
    });
}

Result<std::optional<ResumableUpload>> SqliteCatalog::find_resumable(std::string_view id) {
    return read([&](sqlite::Connection& db) -> std::optional<ResumableUpload> {
        Query query(db, kFindTus, id);
        if (!query.next()) return std::nullopt;
        return resumable_of(query);
    });
}

Result<ResumableUse> SqliteCatalog::resumable_use(std::string_view owner, std::int64_t now_s) {
    return read([&](sqlite::Connection& db) -> ResumableUse {
        Query query(db, kTusUse, owner, now_s);
        query.next();
        return {.bytes = static_cast<std::uint64_t>(query.number(0)),
                .open = static_cast<std::uint64_t>(query.number(1)),
                .owner_bytes = static_cast<std::uint64_t>(query.number(2))};
    });
}

Result<void> SqliteCatalog::end_resumable(std::string_view id, const Uuid& image) {
    return write([&](Writing& writing) {
        std::int64_t upload = 0;
        {
            Query query(writing.db, kFindTus, id);
            if (!query.next()) return;
            upload = resumable_of(query).upload;
        }
        run(writing.db, kEndTus, id, image);
        run(writing.db, kDropUnused, upload);
    });
}

Result<void> SqliteCatalog::drop_resumable(std::string_view id) {
    return write(
        [&](Writing& writing) {
            std::int64_t upload = 0;
            {
                Query query(writing.db, kDropTus, id);
                if (!query.next()) return;
                upload = query.number(0);
                query.next();  // to its end, or it is not done
            }
            run(writing.db, kDropUnused, upload);
        },
        sqlite::Durability::soon);
}

Result<std::vector<std::string>> SqliteCatalog::expired_resumables(std::int64_t now_s) {
    return read([&](sqlite::Connection& db) {
        std::vector<std::string> ids;
        Query query(db, kExpiredTus, now_s, static_cast<std::int64_t>(kPage));
        while (query.next())
            ids.emplace_back(query.text(0));
        return ids;
    });
}

Result<bool> SqliteCatalog::describe_image(const Uuid& image, ImageRecord::State state,
                                           std::string_view metadata) {
    return write(
        [&](Writing& writing) { return run(writing.db, kDescribe, image, state, metadata) > 0; });
}

Result<void> SqliteCatalog::add_key(const KeyRecord& key) {
    return write([&](Writing& writing) {
        const std::size_t added = run(writing.db, kAddKey, key.hash, key.owner, key.name,
                                      key.limits, key.created_s, key.expires_s, key.revoked_s);
        if (added == 0) fail_upload(ErrorKind::conflict, "there is a key of this hash already");
    });
}

Result<std::optional<KeyRecord>> SqliteCatalog::find_key(const conf::Sha256Digest& hash) {
    return read([&](sqlite::Connection& db) -> std::optional<KeyRecord> {
        Query query(db, kFindKey, hash);
        if (!query.next()) return std::nullopt;
        return key_of(query);
    });
}

Result<std::vector<KeyRecord>> SqliteCatalog::list_keys(const KeyFilter& filter,
                                                        std::size_t limit) {
    constexpr std::int64_t kBeforeAll = std::numeric_limits<std::int64_t>::min();
    const KeyFilter::Place after = filter.after.value_or(KeyFilter::Place{.created_s = kBeforeAll});
    return read([&](sqlite::Connection& db) {
        Query query(db, kListKeys, filter.owner, after.created_s, after.hash, limit);
        return keys_of(query);
    });
}

Result<std::vector<KeyRecord>> SqliteCatalog::keys_between(const conf::Sha256Digest& first,
                                                           const conf::Sha256Digest& last,
                                                           std::size_t limit) {
    return read([&](sqlite::Connection& db) {
        Query query(db, kKeysBetween, first, last, limit);
        return keys_of(query);
    });
}

Result<bool> SqliteCatalog::revoke_key(const conf::Sha256Digest& hash, std::int64_t now_s) {
    return write([&](Writing& writing) { return run(writing.db, kRevokeKey, hash, now_s) > 0; });
}

}  // namespace tidepool::storage
