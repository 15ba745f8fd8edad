#include "storage/sqlite.h"

#include "conf/small_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

namespace tidepool::storage::sqlite {

namespace {

ErrorKind kind_of(int code) {
    switch (code & 0xFF) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return ErrorKind::timed_out;
        case SQLITE_CORRUPT:
            return ErrorKind::corrupt;
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_AUTH:
        case SQLITE_NOTADB:
            return ErrorKind::misconfigured;
        case SQLITE_CONSTRAINT:
            return ErrorKind::conflict;
        case SQLITE_TOOBIG:
        case SQLITE_MISMATCH:
        case SQLITE_RANGE:
            return ErrorKind::invalid;
        case SQLITE_NOMEM:
            return ErrorKind::overloaded;
        default:
            return ErrorKind::io;
    }
}

// What the library's own words do not tell an operator.
std::string explain(int code) {
    switch (code & 0xFF) {
        case SQLITE_BUSY:
            return "another process keeps it locked";
        case SQLITE_CANTOPEN:
            return "it cannot be opened or made; does its folder exist, and may this user write "
                   "it?";
        case SQLITE_READONLY:
            return "this user may not write it or its folder";
        case SQLITE_NOTADB:
            return "the file is no SQLite database";
        case SQLITE_FULL:
            return "the disk is full";
        default:
            return {};
    }
}

// Made by us and not by SQLite, whose files everybody may read: the catalog holds hashes of API
// keys and encrypted secrets. The journal gets the same rights.
// The last folder on the way is made too, so that a state folder need only be named.
void make_private(const std::string& path) {
    conf::make_last_folder(path);
    // Never one that is there: closing any descriptor of a file drops the locks that this process's
    // other connections hold on it (fcntl(2)).
    const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640);
    if (fd >= 0) {
        ::close(fd);
        return;
    }
    if (errno == EEXIST) return;
    Error error = fail_errno(errno, "catalog " + path).error();
    if (error.kind == ErrorKind::denied || error.kind == ErrorKind::not_found) {
        error.kind = ErrorKind::misconfigured;
    }
    throw Failure{std::move(error)};
}

}  // namespace

Connection::Connection(std::string path, const OpenOptions& options) : path_(std::move(path)) {
    if (options.writable) make_private(path_);
    // Write-ahead logging writes even for readers (its index), so all are opened for writing;
    // query_only keeps a reader from changing anything by mistake. No mutex of SQLite's own:
    // whoever has a connection has it alone.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(path_.c_str(), &handle_, flags, nullptr);
    try {
        if (code != SQLITE_OK) fail(code);
        sqlite3_busy_timeout(handle_, static_cast<int>(options.busy_wait_ms));
        // Files on this path were written by others only if somebody tampered: believe no function
        // or view of theirs.
        sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
        sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
        execute("PRAGMA cache_size = -" + std::to_string(options.cache_bytes / 1024));
        // No mapping: its pages count as ours, without a bound, and an unreadable one is a signal
        // where it should be an error.
        execute("PRAGMA mmap_size = 0");
        execute("PRAGMA temp_store = MEMORY");
        execute("PRAGMA foreign_keys = ON");
        if (options.writable) {
            begin_journal(options.busy_wait_ms);
            const auto note_pages = [](void* self, sqlite3*, const char*, int pages) {
                static_cast<Connection*>(self)->journal_pages_ = pages;
                return SQLITE_OK;
            };
            sqlite3_wal_hook(handle_, note_pages, this);
            set_durability(Durability::on_return);
            execute("PRAGMA journal_size_limit = " + std::to_string(options.wal_limit_bytes));
        } else {
            execute("PRAGMA query_only = ON");
        }
    } catch (...) {
        sqlite3_close_v2(handle_);
        throw;
    }
}

Connection::~Connection() {
    for (const auto& [sql, statement] : statements_)
        sqlite3_finalize(statement);
    sqlite3_close_v2(handle_);
}

void Connection::set_durability(Durability durability) {
    if (durability == durability_) return;
    // FULL: a commit is on the disk when it returns, since after it a move deletes the other copy
    // (invariant 1). NORMAL writes the journal to the disk with the next FULL commit, or before it
    // is copied into the file.
    execute(durability == Durability::on_return ? "PRAGMA synchronous = FULL"
                                                : "PRAGMA synchronous = NORMAL");
    durability_ = durability;
}

void Connection::begin_journal(std::int64_t busy_wait_ms) {
    constexpr int kPauseMs = 5;
    for (std::int64_t waited_ms = 0;; waited_ms += kPauseMs) {
        try {
            execute("PRAGMA journal_mode = WAL");
            return;
        } catch (const Failure& failure) {
            if (failure.error.kind != ErrorKind::timed_out || waited_ms >= busy_wait_ms) throw;
        }
        sqlite3_sleep(kPauseMs);
    }
}

void Connection::execute(const std::string& sql) {
    const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(code);
}

std::int64_t Connection::number(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr);
    if (code != SQLITE_OK) fail(code);
    code = sqlite3_step(statement);
    const std::int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail(code);
    return value;
}

std::size_t Connection::changes() const {
    return static_cast<std::size_t>(sqlite3_changes64(handle_));
}

std::int64_t Connection::last_id() const {
    return sqlite3_last_insert_rowid(handle_);
}

void Connection::write_back() {
    const int code =
        sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) fail(code);
}

void Connection::roll_back() noexcept {
    if (is_in_transaction()) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

bool Connection::is_in_transaction() const {
    return sqlite3_get_autocommit(handle_) == 0;
}

sqlite3_stmt* Connection::prepared(const char* sql) {
    sqlite3_stmt*& statement = statements_[sql];
    if (statement != nullptr) return statement;
    const int code =
        sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) fail(code);
    return statement;
}

void Connection::fail(int code) const {
    std::string text = "catalog " + path_ + ": ";
    text += handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
    if (const std::string more = explain(code); !more.empty()) text += " (" + more + ")";
    const int system_error = handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
    if ((code & 0xFF) == SQLITE_IOERR && system_error != 0) {
        text += ": " + fail_errno(system_error, "system").error().text;
    }
    throw Failure{Error{kind_of(code), std::move(text)}};
}

Query::~Query() {
    sqlite3_reset(statement_);  // gives the last step's error once more; it was thrown already
    sqlite3_clear_bindings(statement_);
}

bool Query::next() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) connection_.fail(code);
    return false;
}

std::int64_t Query::number(int column) const {
    return sqlite3_column_int64(statement_, column);
}

double Query::real(int column) const {
    return sqlite3_column_double(statement_, column);
}

std::string_view Query::text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (text == nullptr) return {};
    return {text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::uint8_t> Query::blob(int column) const {
    const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
    return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Query::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

void Query::bind_number(int index, std::int64_t value) {
    check(sqlite3_bind_int64(statement_, index, value));
}

void Query::bind_real(int index, double value) {
    check(sqlite3_bind_double(statement_, index, value));
}

// An empty text or blob is one, not null: SQLite takes a null pointer for null.
void Query::bind_text(int index, std::string_view text) {
    check(sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                              SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Query::bind_blob(int index, std::span<const std::byte> bytes) {
    check(sqlite3_bind_blob64(statement_, index,
                              bytes.empty() ? static_cast<const void*>("") : bytes.data(),
                              bytes.size(), SQLITE_TRANSIENT));
}

void Query::check(int code) const {
    if (code == SQLITE_OK) return;
    sqlite3_clear_bindings(statement_);
    connection_.fail(code);
}

Transaction::Transaction(Connection& connection) : connection_(connection) {
    // IMMEDIATE: a transaction that reads first and then wants to write would fail at once where
    // another process wrote in between; this one waits for its turn at the start.
    connection_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
    connection_.roll_back();
}

void Transaction::commit() {
    connection_.execute("COMMIT");
}

Snapshot::Snapshot(Connection& connection) : connection_(connection) {
    connection_.execute("BEGIN");
}

Snapshot::~Snapshot() {
    connection_.roll_back();
}

}  // namespace tidepool::storage::sqlite
