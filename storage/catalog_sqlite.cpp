// Connections, transactions and accounts; the tables' own calls are in catalog_sqlite_*.cpp.
#include "storage/catalog_sqlite.h"

#include "conf/log.h"
#include "conf/small_file.h"
#include "storage/catalog_schema.h"
#include "storage/driver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <filesystem>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

using sqlite::Failure;
using sqlite::Query;

constexpr const char* kChangeAccount =
    "UPDATE accounts SET count = count + ?3, bytes = bytes + ?4 WHERE pool = ?1 AND role = ?2";
constexpr const char* kNewAccount = "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4)";
constexpr const char* kCountChange = "UPDATE changes SET counter = counter + 1";
constexpr const char* kChanges = "SELECT counter FROM changes";
constexpr const char* kAccounts =
    "SELECT pool, role, count, bytes FROM accounts WHERE count > 0 ORDER BY pool, role";
constexpr const char* kRecount =
    "SELECT pool, role, count(*), sum(size) FROM objects GROUP BY pool, role "
    "UNION ALL SELECT pool, 2, count(*), sum(size) FROM backups GROUP BY pool ORDER BY 1, 2";

constexpr std::string_view kUrlScheme = "sqlite:";
// Writers that are committed at once. Each of the others waits for all of their work.
constexpr std::size_t kMostTogether = 64;
constexpr int kJournalPages = 1000;  // beyond which it is written back; SQLite's own default

std::vector<Account> read_accounts(sqlite::Connection& db, const char* sql) {
    std::vector<Account> accounts;
    Query query(db, sql);
    while (query.next()) {
        accounts.push_back({.pool = query.number(0),
                            .role = static_cast<Role>(query.number(1)),
                            .count = static_cast<std::uint64_t>(query.number(2)),
                            .bytes = static_cast<std::uint64_t>(query.number(3))});
    }
    return accounts;
}

}  // namespace

ObjectRecord object_record(std::string key, PoolId pool) {
    const ImageKey parsed = parse_image_key(key);
    ObjectRecord record;
    record.pool = pool;
    record.image = parsed.image;
    record.role = parsed.role;
    record.key = std::move(key);
    return record;
}

ObjectRecord record_of_copy(const BackupRecord& copy) {
    return {.key = copy.key,
            .pool = copy.pool,
            .image = parse_image_key(copy.original).image,
            .role = Role::backup,
            .size = copy.size,
            .sha256 = copy.sha256,
            .content_type = {},
            .modified_s = 0,
            .store_etag = copy.store_etag,
            .version_id = copy.version_id,
            .added_s = copy.added_s};
}

ObjectRecord object_record(std::string key, PoolId pool, const ObjectInfo& info,
                           std::string_view content_type, std::int64_t now_s) {
    ObjectRecord record = object_record(std::move(key), pool);
    record.size = info.size;
    record.sha256 = info.sha256;
    record.content_type = content_type;
    record.modified_s = info.modified_s != 0 ? info.modified_s : now_s;
    record.store_etag = info.etag;
    record.version_id = info.version_id;
    record.added_s = now_s;
    return record;
}

Result<JobId> Catalog::queue_job(const NewJob& job, std::int64_t now_s) {
    const auto ids = queue_jobs({&job, 1}, now_s);
    if (!ids) return std::unexpected(ids.error());
    return ids->front();
}

double score_at(const ViewRecord& views, std::int64_t now_s, std::int64_t half_life_s) {
    const auto passed_s = static_cast<double>(std::max<std::int64_t>(0, now_s - views.last_s));
    return views.score * std::exp2(-passed_s / static_cast<double>(half_life_s));
}

Result<std::uint64_t> bytes_held(Catalog& catalog, PoolId pool) {
    const auto accounts = catalog.accounts();
    if (!accounts) return std::unexpected(accounts.error());
    std::uint64_t bytes = 0;
    for (const Account& account : *accounts) {
        if (account.pool == pool) bytes += account.bytes;
    }
    return bytes;
}

namespace {

Result<std::string> path_of_url(const std::string& url) {
    if (url.starts_with(kUrlScheme)) return url.substr(kUrlScheme.size());
    return fail(ErrorKind::invalid, "catalog.url: only \"sqlite:/PATH\" can be opened");
}

}  // namespace

Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::string& path,
                                                     const SqliteOptions& options) {
    try {
        return std::make_unique<SqliteCatalog>(path, options);
    } catch (const Failure& failure) {
        return std::unexpected(failure.error);
    }
}

Result<std::unique_ptr<Catalog>> open_catalog(const std::string& url) {
    const auto path = path_of_url(url);
    if (!path) return std::unexpected(path.error());
    return open_sqlite_catalog(*path);
}

Result<void> check_catalog(const std::string& url) {
    const auto path = path_of_url(url);
    if (!path) return std::unexpected(path.error());
    if (auto writable = conf::may_write(*path); !writable) return writable;
    // Beside it lie its journal and that one's index.
    if (auto writable = conf::may_write(*path + "-wal"); !writable) return writable;
    if (!std::filesystem::exists(*path)) return {};
    try {
        sqlite::Connection connection(*path, {.busy_wait_ms = SqliteOptions().busy_wait.count()});
        check_catalog(connection);
    } catch (const Failure& failure) {
        return std::unexpected(failure.error);
    }
    return {};
}

SqliteCatalog::SqliteCatalog(std::string path, const SqliteOptions& options)
    : path_(std::move(path)), options_(options) {
    writer_ = std::make_unique<sqlite::Connection>(
        path_, sqlite::OpenOptions{.writable = true,
                                   .cache_bytes = kWriterCacheBytes,
                                   .busy_wait_ms = options_.busy_wait.count(),
                                   .wal_limit_bytes = kJournalBytes});
    migrate_catalog(*writer_);
}

void SqliteCatalog::Writing::account(PoolId pool, Role role, std::int64_t count,
                                     std::int64_t bytes) {
    auto& [counted, summed] = accounts_[{pool, role}];
    counted += count;
    summed += bytes;
}

void SqliteCatalog::Writing::account(const ObjectRecord& object, std::int64_t count) {
    account(object.pool, object.role, count, count * static_cast<std::int64_t>(object.size));
}

void SqliteCatalog::Writing::settle() {
    for (const auto& [whose, change] : accounts_) {
        const auto& [pool, role] = whose;
        const auto& [count, bytes] = change;
        if (count == 0 && bytes == 0) continue;
        if (sqlite::run(db, kChangeAccount, pool, role, count, bytes) == 0) {
            sqlite::run(db, kNewAccount, pool, role, count, bytes);
        }
    }
    if (changed_) sqlite::run(db, kCountChange);
}

// Who finds that nobody writes does the work of all that wait by then, in the order in which they
// came; the others sleep until that is committed. It need not be the first of them: that one may be
// a thread that stands back, and all would wait for its turn of the processor.
void SqliteCatalog::take_turn(Turn& turn) {
    const auto deadline = std::chrono::steady_clock::now() + options_.busy_wait;
    std::unique_lock lock(turns_mutex_);
    waiting_.push_back(&turn);
    while (!turn.is_ended) {
        if (turn.is_taken) {
            turn.changed.wait(lock);
        } else if (!is_writing_) {
            take_turns(lock);
        } else if (turn.changed.wait_until(lock, deadline) == std::cv_status::timeout &&
                   is_writing_ && !turn.is_taken) {
            std::erase(waiting_, &turn);
            throw Failure{Error{ErrorKind::timed_out,
                                fmt::format("catalog {}: other writers took longer than {} ms",
                                            path_, options_.busy_wait.count())}};
        }
    }
    if (turn.failure) throw Failure{std::move(*turn.failure)};
}

void SqliteCatalog::take_turns(std::unique_lock<std::mutex>& lock) {
    std::array<Turn*, kMostTogether> taken{};
    const std::size_t count = std::min(waiting_.size(), taken.size());
    std::copy_n(waiting_.begin(), count, taken.begin());
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    const std::span turns = std::span(taken).first(count);
    for (Turn* const turn : turns)
        turn->is_taken = true;
    is_writing_ = true;
    lock.unlock();
    write_together(turns);
    lock.lock();
    is_writing_ = false;
    for (Turn* const turn : turns) {
        turn->is_ended = true;
        turn->changed.notify_one();
    }
    if (!waiting_.empty()) waiting_.front()->changed.notify_one();
}

// A server that has no memory for an error here ends, as all would wait for it for ever.
void SqliteCatalog::write_together(std::span<Turn* const> turns) noexcept {
    const bool must_last = std::ranges::any_of(
        turns, [](const Turn* turn) { return turn->durability == sqlite::Durability::on_return; });
    const std::lock_guard writer_lock(writer_mutex_);
    try {
        if (must_last && is_journal_torn_) mend_journal();
        writer_->set_durability(must_last ? sqlite::Durability::on_return
                                          : sqlite::Durability::soon);
        sqlite::Transaction transaction(*writer_);
        std::uint64_t changes = 0;
        for (Turn* const turn : turns) {
            // One alone needs none: a savepoint copies each page before it is changed.
            if (turns.size() > 1) writer_->execute("SAVEPOINT turn");
            changes += write_one(*turn, *writer_) ? 1 : 0;
            if (turn->failure) {
                if (turns.size() == 1 || !writer_->is_in_transaction())
                    throw Failure{*turn->failure};
                writer_->execute("ROLLBACK TO turn");
            }
            if (turns.size() > 1) writer_->execute("RELEASE turn");
        }
        std::unique_lock lock(changes_mutex_, std::defer_lock);
        if (changes > 0) lock.lock();
        transaction.commit();
        if (changes > 0) own_changes_ += changes;  // else the lock is not held
    } catch (const Failure& failure) {
        // Nothing of any of them is kept.
        is_journal_torn_ = is_journal_torn_ || failure.error.kind == ErrorKind::io;
        for (Turn* const turn : turns) {
            if (!turn->failure) turn->failure = failure.error;
        }
        return;
    }
    write_back();
}

// What was committed stands, whatever becomes of this.
void SqliteCatalog::write_back() noexcept {
    if (writer_->journal_pages() < kJournalPages) return;
    try {
        writer_->write_back();
    } catch (const Failure& failure) {
        is_journal_torn_ = is_journal_torn_ || failure.error.kind == ErrorKind::io;
        conf::log_warn("catalog not written back reason=\"{}\"", failure.error.text);
    }
}

// Where the disk failed as the journal was to be synced, commits before that were not on it yet
// (Durability::soon) may never be, as the kernel tells of a page that it could not write once and
// then takes it for written; those that follow would be lost behind them. So all that it holds goes
// into the file, and it begins anew.
void SqliteCatalog::mend_journal() {
    writer_->set_durability(sqlite::Durability::on_return);
    if (writer_->number("PRAGMA wal_checkpoint(TRUNCATE)") != 0) {
        throw Failure{Error{
            ErrorKind::timed_out,
            fmt::format("catalog {}: its disk failed, and the journal cannot begin anew while "
                        "others read",
                        path_)}};
    }
    is_journal_torn_ = false;
}

// Whether other processes are to notice. What it throws is the turn's failure.
bool SqliteCatalog::write_one(Turn& turn, sqlite::Connection& writer) {
    try {
        Writing writing(writer);
        turn.work(writing);
        writing.settle();
        return writing.changed();
    } catch (const Failure& failure) {
        turn.failure = failure.error;
    } catch (const std::exception& other) {
        turn.failure = Error{ErrorKind::overloaded, fmt::format("catalog: {}", other.what())};
    }
    return false;
}

std::unique_ptr<sqlite::Connection> SqliteCatalog::take_reader() {
    {
        std::unique_lock lock(readers_mutex_);
        reader_returned_.wait(lock,
                              [&] { return !idle_readers_.empty() || open_readers_ < kReaders; });
        if (!idle_readers_.empty()) {
            auto connection = std::move(idle_readers_.back());
            idle_readers_.pop_back();
            return connection;
        }
        ++open_readers_;
    }
    try {
        return std::make_unique<sqlite::Connection>(
            path_, sqlite::OpenOptions{.cache_bytes = kReaderCacheBytes,
                                       .busy_wait_ms = options_.busy_wait.count()});
    } catch (const Failure&) {
        const std::lock_guard lock(readers_mutex_);
        --open_readers_;
        reader_returned_.notify_one();
        throw;
    }
}

void SqliteCatalog::give_back(std::unique_ptr<sqlite::Connection> connection) {
    const std::lock_guard lock(readers_mutex_);
    idle_readers_.push_back(std::move(connection));
    reader_returned_.notify_one();
}

Result<std::uint64_t> SqliteCatalog::foreign_changes() {
    return read([&](sqlite::Connection& db) {
        const std::lock_guard lock(changes_mutex_);
        Query query(db, kChanges);
        query.next();
        return static_cast<std::uint64_t>(query.number(0)) - own_changes_;
    });
}

Result<std::vector<Account>> SqliteCatalog::accounts() {
    return read([](sqlite::Connection& db) { return read_accounts(db, kAccounts); });
}

Result<Catalog::Recount> SqliteCatalog::recount() {
    return read([](sqlite::Connection& db) {
        const sqlite::Snapshot snapshot(db);
        return Recount{.accounts = read_accounts(db, kAccounts),
                       .rows = read_accounts(db, kRecount)};
    });
}

}  // namespace tidepool::storage
