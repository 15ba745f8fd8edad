// Pools, and what is kept by pool: budgets and scans. Views.
#include "storage/catalog_sqlite.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

using sqlite::Failure;
using sqlite::Query;
using sqlite::run;

#define POOL_COLUMNS "id, name, settings, secrets, origin, state"
constexpr const char* kPools = "SELECT " POOL_COLUMNS " FROM pools ORDER BY id";
constexpr const char* kPoolByName = "SELECT " POOL_COLUMNS " FROM pools WHERE name = ?1";
constexpr const char* kNewPool =
    "INSERT INTO pools (name, settings, secrets, origin, state) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr const char* kChangePool =
    "UPDATE pools SET name = ?2, settings = ?3, secrets = ?4, origin = ?5, state = ?6 WHERE id = "
    "?1";
constexpr const char* kPoolInUse =
    "SELECT EXISTS (SELECT 1 FROM objects WHERE pool = ?1), "
    "EXISTS (SELECT 1 FROM backups WHERE pool = ?1), "
    "EXISTS (SELECT 1 FROM uploads WHERE pool = ?1 AND image IS NOT NULL)";
constexpr const char* kForgetAccounts = "DELETE FROM accounts WHERE pool = ?1";
constexpr const char* kForgetBudgets = "DELETE FROM budgets WHERE pool = ?1";
constexpr const char* kForgetImages = "DELETE FROM images WHERE pool = ?1";
constexpr const char* kForgetEmptying = "DELETE FROM emptying WHERE pool = ?1";
constexpr const char* kForgetSessionsOfPool = "DELETE FROM uploads WHERE pool = ?1";
constexpr const char* kRemovePool = "DELETE FROM pools WHERE id = ?1";

constexpr const char* kAddUse =
    "INSERT INTO budgets VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET "
    "class_a_calls = class_a_calls + excluded.class_a_calls, "
    "class_b_calls = class_b_calls + excluded.class_b_calls, "
    "class_c_calls = class_c_calls + excluded.class_c_calls, "
    "egress_bytes = egress_bytes + excluded.egress_bytes "
    "RETURNING class_a_calls, class_b_calls, class_c_calls, egress_bytes";
constexpr const char* kFindUse =
    "SELECT class_a_calls, class_b_calls, class_c_calls, egress_bytes FROM budgets "
    "WHERE pool = ?1 AND day = ?2";
constexpr const char* kForgetUse = "DELETE FROM budgets WHERE pool = ?1 AND day < ?2";

constexpr const char* kFindScan =
    "SELECT pool, next, last_key, counts, started_s FROM scans WHERE pool = ?1";
constexpr const char* kSaveScan = "INSERT OR REPLACE INTO scans VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr const char* kEndScan = "DELETE FROM scans WHERE pool = ?1";

constexpr const char* kFindViews = "SELECT score, last_s FROM views WHERE image = ?1";
constexpr const char* kSaveViews = "INSERT OR REPLACE INTO views VALUES (?1, ?2, ?3)";

PoolRecord pool_of(const Query& query) {
    PoolRecord pool;
    pool.id = query.number(0);
    pool.name = query.text(1);
    pool.settings = query.text(2);
    const auto secrets = query.blob(3);
    pool.secrets.assign(secrets.begin(), secrets.end());
    pool.origin = static_cast<PoolRecord::Origin>(query.number(4));
    pool.state = static_cast<PoolRecord::State>(query.number(5));
    return pool;
}

std::optional<PoolRecord> find_pool(sqlite::Connection& db, std::string_view name) {
    Query query(db, kPoolByName, name);
    if (!query.next()) return std::nullopt;
    return pool_of(query);
}

PoolRecord insert_pool(sqlite::Connection& db, PoolRecord pool) {
    run(db, kNewPool, pool.name, pool.settings, std::as_bytes(std::span(pool.secrets)), pool.origin,
        pool.state);
    pool.id = db.last_id();
    return pool;
}

void update_pool(sqlite::Connection& db, const PoolRecord& pool) {
    const std::size_t changed =
        run(db, kChangePool, pool.id, pool.name, pool.settings,
            std::as_bytes(std::span(pool.secrets)), pool.origin, pool.state);
    if (changed == 0) {
        throw Failure{
            Error{ErrorKind::not_found, fmt::format("catalog: no pool has number {}", pool.id)}};
    }
}

[[noreturn]] void refuse_name(std::string_view name) {
    throw Failure{
        Error{ErrorKind::conflict, fmt::format("catalog: there is a pool {} already", name)}};
}

void check_unused(sqlite::Connection& db, PoolId pool) {
    Query query(db, kPoolInUse, pool);
    query.next();
    if (query.number(0) == 0 && query.number(1) == 0 && query.number(2) == 0) return;
    const char* const what = query.number(0) != 0   ? "objects"
                             : query.number(1) != 0 ? "backups"
                                                    : "uploads that have begun";
    throw Failure{Error{ErrorKind::conflict,
                        fmt::format("catalog: pool number {} still holds {}", pool, what)}};
}

std::optional<ViewRecord> find_view_row(sqlite::Connection& db, const Uuid& image) {
    Query query(db, kFindViews, image);
    if (!query.next()) return std::nullopt;
    return ViewRecord{.score = query.real(0), .last_s = query.number(1)};
}

}  // namespace

Result<std::vector<PoolRecord>> SqliteCatalog::pools() {
    return read([](sqlite::Connection& db) {
        std::vector<PoolRecord> pools;
        Query query(db, kPools);
        while (query.next())
            pools.push_back(pool_of(query));
        return pools;
    });
}

Result<PoolRecord> SqliteCatalog::declare_pool(std::string_view name, std::string_view settings) {
    // Every command and every start declares, and nearly always there is nothing to write: then it
    // should not wait for those who do.
    auto same = read([&](sqlite::Connection& db) { return find_pool(db, name); });
    if (!same) return std::unexpected(same.error());
    if (*same && (*same)->origin == PoolRecord::Origin::file && (*same)->settings == settings) {
        return std::move(**same);
    }
    return write([&](Writing& writing) {
        auto known = find_pool(writing.db, name);
        if (known && known->origin == PoolRecord::Origin::api) refuse_name(name);
        if (known && known->settings == settings) return *known;
        writing.note_change();
        if (!known) {
            PoolRecord pool;
            pool.name = name;
            pool.settings = settings;
            return insert_pool(writing.db, std::move(pool));
        }
        known->settings = settings;
        update_pool(writing.db, *known);
        return *known;
    });
}

Result<PoolRecord> SqliteCatalog::create_pool(const PoolRecord& pool) {
    return write([&](Writing& writing) {
        if (find_pool(writing.db, pool.name)) refuse_name(pool.name);
        writing.note_change();
        return insert_pool(writing.db, pool);
    });
}

Result<void> SqliteCatalog::change_pool(const PoolRecord& pool) {
    return write([&](Writing& writing) {
        const auto same_name = find_pool(writing.db, pool.name);
        if (same_name && same_name->id != pool.id) refuse_name(pool.name);
        update_pool(writing.db, pool);
        writing.note_change();
    });
}

Result<void> SqliteCatalog::remove_pool(PoolId pool) {
    return write([&](Writing& writing) {
        check_unused(writing.db, pool);
        for (const char* sql : {kForgetAccounts, kForgetBudgets, kForgetImages, kForgetEmptying,
                                kForgetSessionsOfPool, kEndScan})
            run(writing.db, sql, pool);
        if (run(writing.db, kRemovePool, pool) == 0) {
            throw Failure{
                Error{ErrorKind::not_found, fmt::format("catalog: no pool has number {}", pool)}};
        }
        writing.note_change();
    });
}

Result<DayUse> SqliteCatalog::add_budget_use(PoolId pool, std::int64_t day, const DayUse& use) {
    const auto use_in = [](Query& query) {
        return DayUse{.class_a_calls = query.number(0),
                      .class_b_calls = query.number(1),
                      .class_c_calls = query.number(2),
                      .egress_bytes = static_cast<std::uint64_t>(query.number(3))};
    };
    if (use == DayUse{}) {
        // Servers ask every few seconds; to others a write would look like a change.
        return read([&](sqlite::Connection& db) {
            Query query(db, kFindUse, pool, day);
            return query.next() ? use_in(query) : DayUse{};
        });
    }
    return write([&](Writing& writing) {
        run(writing.db, kForgetUse, pool, day - kBudgetDays);
        Query query(writing.db, kAddUse, pool, day, use.class_a_calls, use.class_b_calls,
                    use.class_c_calls, use.egress_bytes);
        query.next();
        const DayUse sum = use_in(query);
        while (query.next()) {
        }
        return sum;
    });
}

Result<std::optional<ScanRecord>> SqliteCatalog::find_scan(PoolId pool) {
    return read([&](sqlite::Connection& db) -> std::optional<ScanRecord> {
        Query query(db, kFindScan, pool);
        if (!query.next()) return std::nullopt;
        ScanRecord scan;
        scan.pool = query.number(0);
        scan.next = query.text(1);
        scan.last_key = query.text(2);
        scan.counts = query.text(3);
        scan.started_s = query.number(4);
        return scan;
    });
}

void SqliteCatalog::save_scan(Writing& writing, const ScanRecord& scan) {
    run(writing.db, kSaveScan, scan.pool, scan.next, scan.last_key, scan.counts, scan.started_s);
}

Result<void> SqliteCatalog::end_scan(PoolId pool) {
    return write([&](Writing& writing) { run(writing.db, kEndScan, pool); });
}

Result<void> SqliteCatalog::add_views(std::span<const ViewUpdate> views, std::int64_t half_life_s) {
    const auto work = [&](Writing& writing) {
        for (const ViewUpdate& update : views) {
            const ViewRecord known =
                find_view_row(writing.db, update.image).value_or(ViewRecord{0, update.last_s});
            const double score =
                score_at(known, update.last_s, half_life_s) + static_cast<double>(update.views);
            run(writing.db, kSaveViews, update.image, score, std::max(known.last_s, update.last_s));
        }
    };
    return write(work, sqlite::Durability::soon);
}

Result<std::optional<ViewRecord>> SqliteCatalog::find_views(const Uuid& image) {
    return read([&](sqlite::Connection& db) { return find_view_row(db, image); });
}

}  // namespace tidepool::storage
