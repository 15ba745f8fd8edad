#include "storage/catalog_schema.h"

#include <array>
#include <cstddef>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

// Never changed once released: a change is a migration of its own, at the end of the list.
//
// objects: the key is the primary key, so an object is in one pool (invariant 2), and WITHOUT
// ROWID, so that the row stands in the key's own tree and a look-up is one descent. The index by
// pool holds (pool, key) and serves listings; there is none by image, since an image's keys follow
// from that of its original, and a random index over ten million rows would cost a scan more than
// all the rest.
constexpr const char* kFirst = R"sql(
CREATE TABLE pools (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL,
    secrets BLOB NOT NULL,
    origin INTEGER NOT NULL,
    state INTEGER NOT NULL
) STRICT;
CREATE TABLE images (
    uuid BLOB NOT NULL PRIMARY KEY,
    pool INTEGER NOT NULL REFERENCES pools (id),
    original TEXT NOT NULL,
    state INTEGER NOT NULL,
    uploaded_s INTEGER NOT NULL,
    moved_s INTEGER NOT NULL,
    metadata TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE objects (
    key TEXT NOT NULL PRIMARY KEY,
    pool INTEGER NOT NULL REFERENCES pools (id),
    image BLOB,
    role INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB,
    content_type TEXT NOT NULL,
    modified_s INTEGER NOT NULL,
    store_etag TEXT NOT NULL,
    version_id TEXT NOT NULL,
    added_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_by_pool ON objects (pool);
CREATE TABLE backups (
    pool INTEGER NOT NULL REFERENCES pools (id),
    key TEXT NOT NULL,
    original TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB,
    store_etag TEXT NOT NULL,
    version_id TEXT NOT NULL,
    added_s INTEGER NOT NULL,
    PRIMARY KEY (pool, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX backups_by_original ON backups (original);
CREATE TABLE accounts (
    pool INTEGER NOT NULL REFERENCES pools (id),
    role INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (pool, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_s INTEGER NOT NULL,
    next_run_s INTEGER NOT NULL,
    finished_s INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT NOT NULL DEFAULT '',
    lease_until_s INTEGER NOT NULL DEFAULT 0,
    error_class TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    progress TEXT NOT NULL DEFAULT '',
    dedup_key TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_due ON jobs (priority, next_run_s) WHERE state IN (0, 1);
CREATE INDEX jobs_finished ON jobs (finished_s) WHERE finished_s > 0;
CREATE UNIQUE INDEX jobs_open ON jobs (dedup_key) WHERE dedup_key <> '' AND state IN (0, 1, 5);
CREATE TABLE views (
    image BLOB NOT NULL PRIMARY KEY,
    score REAL NOT NULL,
    last_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE api_keys (
    hash BLOB NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_s INTEGER NOT NULL,
    expires_s INTEGER NOT NULL,
    revoked_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE budgets (
    pool INTEGER NOT NULL REFERENCES pools (id),
    day INTEGER NOT NULL,
    class_a_calls INTEGER NOT NULL,
    class_b_calls INTEGER NOT NULL,
    class_c_calls INTEGER NOT NULL,
    egress_bytes INTEGER NOT NULL,
    PRIMARY KEY (pool, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE scans (
    pool INTEGER NOT NULL PRIMARY KEY REFERENCES pools (id),
    next TEXT NOT NULL,
    last_key TEXT NOT NULL,
    counts TEXT NOT NULL,
    started_s INTEGER NOT NULL
) STRICT;
CREATE TABLE changes (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO changes VALUES (1, 0);
)sql";

// claims: few rows, of work that goes on right now.
constexpr const char* kSecond = R"sql(
CREATE TABLE claims (
    work TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// Jobs are found by lane, as each has a limit of its own; the first of a (lane, priority) is one
// descent. Those that ended are kept for long and may be many millions, so whatever else asks for
// some has an index that it walks no further than it needs. job_counts: how many there are of each
// kind; kept by triggers, so that no change of a job can forget it, and what is down to 0 goes with
// the jobs that are forgotten. deletions: images whose keys are gone whatever is still stored.
// emptying: pools that were above their high watermark and are not below the low one yet.
constexpr const char* kThird = R"sql(
ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN batch TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET lane = type;
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (lane, priority, next_run_s) WHERE state IN (0, 1);
CREATE INDEX jobs_by_type ON jobs (type, state);
CREATE INDEX jobs_by_batch ON jobs (batch, type, state) WHERE batch <> '';
CREATE INDEX jobs_failed ON jobs (dedup_key) WHERE dedup_key <> '' AND state = 3;
CREATE INDEX jobs_leased ON jobs (lease_owner) WHERE lease_owner <> '';
CREATE INDEX jobs_cancelled_held ON jobs (dedup_key) WHERE state = 4 AND lease_owner <> '';
CREATE TABLE job_counts (
    batch TEXT NOT NULL,
    type TEXT NOT NULL,
    state INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (batch, type, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER jobs_counted_new AFTER INSERT ON jobs BEGIN
    INSERT INTO job_counts VALUES (new.batch, new.type, new.state, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER jobs_counted_changed AFTER UPDATE OF batch, type, state ON jobs
    WHEN (old.batch, old.type, old.state) <> (new.batch, new.type, new.state) BEGIN
    UPDATE job_counts SET count = count - 1
        WHERE (batch, type, state) = (old.batch, old.type, old.state);
    INSERT INTO job_counts VALUES (new.batch, new.type, new.state, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER jobs_counted_gone AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET count = count - 1
        WHERE (batch, type, state) = (old.batch, old.type, old.state);
END;
CREATE TABLE emptying (
    pool INTEGER NOT NULL PRIMARY KEY REFERENCES pools (id)
) STRICT;
CREATE INDEX images_by_pool ON images (pool);
CREATE TABLE deletions (
    image BLOB NOT NULL PRIMARY KEY,
    deleted_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// owned: what each owner has, by content, so that nothing is kept twice for one; owners: the sum of
// it. uploads: bytes that are kept free, and where the bytes of an upload go that has begun. tus:
// uploads that come in pieces, and what became of them; `upload` is a row of uploads for as long as
// that keeps bytes free for it. Most images of a site that was taken over have no owner, so the
// index of those that do is small. calls: what the admin API has done and must not do twice.
// settings: what was changed at run time, by its name in the file, as JSON.
constexpr const char* kFourth = R"sql(
ALTER TABLE images ADD COLUMN owner TEXT NOT NULL DEFAULT '';
CREATE INDEX images_by_owner ON images (owner) WHERE owner <> '';
CREATE TABLE calls (
    name BLOB NOT NULL PRIMARY KEY,
    request BLOB NOT NULL,
    status INTEGER NOT NULL,
    answer BLOB NOT NULL,
    process TEXT NOT NULL,
    begun_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_time ON calls (begun_s);
CREATE TABLE owned (
    owner TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    image BLOB NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (owner, sha256)
) STRICT, WITHOUT ROWID;
CREATE TABLE owners (
    owner TEXT NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL CHECK (count >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pool INTEGER NOT NULL REFERENCES pools (id),
    owner TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    token BLOB,
    details TEXT NOT NULL,
    expires_s INTEGER NOT NULL,
    image BLOB,
    key TEXT NOT NULL,
    process TEXT NOT NULL
) STRICT;
CREATE INDEX uploads_by_token ON uploads (token) WHERE token IS NOT NULL;
CREATE INDEX uploads_by_image ON uploads (image) WHERE image IS NOT NULL;
CREATE INDEX uploads_by_pool ON uploads (pool, bytes);
CREATE INDEX uploads_by_owner ON uploads (owner, bytes);
CREATE TABLE tus (
    id TEXT NOT NULL PRIMARY KEY,
    token BLOB NOT NULL,
    owner TEXT NOT NULL,
    pool INTEGER NOT NULL,
    upload INTEGER NOT NULL,
    length INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    details TEXT NOT NULL,
    expires_s INTEGER NOT NULL,
    image BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX tus_by_token ON tus (token);
CREATE INDEX tus_by_expiry ON tus (expires_s);
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    changed_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// private_images: those that only a signed URL opens. A table and no column of `images`, as a row
// there goes when its original is not found for a while and comes back when it is: by then nobody
// may have been shown the image.
constexpr const char* kFifth = R"sql(
CREATE TABLE private_images (
    image BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
)sql";

// What uploads in pieces take that have not ended is asked for before each new one. Keys are listed
// a page at a time, the oldest first.
constexpr const char* kSixth = R"sql(
CREATE INDEX api_keys_by_age ON api_keys (created_s, hash);
CREATE INDEX tus_open ON tus (owner, expires_s, length) WHERE image IS NULL;
)sql";

constexpr std::array<const char*, 6> kMigrations{kFirst, kSecond, kThird, kFourth, kFifth, kSixth};

[[noreturn]] void refuse(const sqlite::Connection& connection, const std::string& why) {
    throw sqlite::Failure{
        Error{ErrorKind::misconfigured, fmt::format("catalog {}: {}", connection.path(), why)}};
}

int version_of(sqlite::Connection& connection) {
    const bool empty = connection.number("SELECT count(*) FROM sqlite_schema") == 0;
    if (empty) return 0;
    if (connection.number("PRAGMA application_id") != kCatalogApplicationId) {
        refuse(connection, "the database belongs to another program");
    }
    return static_cast<int>(connection.number("SELECT max(version) FROM schema_versions"));
}

void check_known(const sqlite::Connection& connection, int version) {
    if (version <= catalog_schema_version()) return;
    refuse(connection, fmt::format("it was made by a newer tidepool (schema {}, this program knows "
                                   "{}); run that version, or restore a copy from before",
                                   version, catalog_schema_version()));
}

void begin_schema(sqlite::Connection& connection) {
    connection.execute(fmt::format("PRAGMA application_id = {}", kCatalogApplicationId));
    connection.execute(
        "CREATE TABLE schema_versions (version INTEGER PRIMARY KEY, applied_s INTEGER NOT NULL) "
        "STRICT");
}

}  // namespace

int catalog_schema_version() {
    return static_cast<int>(kMigrations.size());
}

void check_catalog(sqlite::Connection& connection) {
    check_known(connection, version_of(connection));
}

void migrate_catalog(sqlite::Connection& connection) {
    int version = version_of(connection);
    check_known(connection, version);
    while (version < catalog_schema_version()) {
        sqlite::Transaction transaction(connection);
        version = version_of(connection);  // another process may have been faster
        check_known(connection, version);
        if (version == catalog_schema_version()) return;
        if (version == 0) begin_schema(connection);
        connection.execute(kMigrations.at(static_cast<std::size_t>(version)));
        connection.execute(
            fmt::format("INSERT INTO schema_versions VALUES ({}, unixepoch())", version + 1));
        transaction.commit();
        ++version;
    }
}

}  // namespace tidepool::storage
