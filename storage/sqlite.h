// SQLite's C interface as far as the catalog needs it: connections, statements kept prepared, rows.
//
// Everything here throws `Failure` where SQLite reports an error, since nearly every line of the
// catalog's SQL could; SqliteCatalog turns that into a Result at its edge, so none leaves it.
#pragma once

#include "conf/error.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace tidepool::storage::sqlite {

struct Failure {
    Error error;
};

struct OpenOptions {
    bool writable = false;             // and made where it is absent
    std::int64_t cache_bytes = 0;      // page cache of this connection, at most
    std::int64_t busy_wait_ms = 0;     // how long a lock of another process is waited for
    std::int64_t wal_limit_bytes = 0;  // what the journal is cut to once it was written back
};

// What a commit has reached when it returns. Never is one lost whose successor is kept.
enum class Durability : std::uint8_t {
    on_return,  // the disk
    soon,       // the kernel: kept if we are killed; with the power the last ones may be lost
};

// One connection and its prepared statements. Used by one thread at a time.
class Connection {
  public:
    Connection(std::string path, const OpenOptions& options);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Of the commits from here on; a writable connection begins with on_return.
    void set_durability(Durability durability);
    // Runs SQL without values and drops its rows; for set-up and migrations.
    void execute(const std::string& sql);
    // The first column of the first row of `sql`, 0 where there is none.
    std::int64_t number(const std::string& sql);
    // Rows that the last statement changed.
    std::size_t changes() const;
    std::int64_t last_id() const;
    // Ends a transaction that is open, if one is, without what it changed.
    void roll_back() noexcept;
    // How many pages the journal of a writable connection had after its last commit. Nobody writes
    // them into the file but write_back() and the end of the last connection.
    int journal_pages() const { return journal_pages_; }
    // Writes into the file what no reader needs in the journal any more. SQLite would do so after a
    // commit by itself, and tell nobody where the disk fails.
    void write_back();
    // False, too, where SQLite has ended one itself because of an error, as for a full disk.
    bool is_in_transaction() const;

    const std::string& path() const { return path_; }

  private:
    friend class Query;
    // `sql` must live for ever: its address is the name of the prepared statement.
    sqlite3_stmt* prepared(const char* sql);
    [[noreturn]] void fail(int code) const;
    // Where two make a new file at once, both have read it and want to write: SQLite then does not
    // wait, lest they wait for each other, so it is done here.
    void begin_journal(std::int64_t busy_wait_ms);

    std::string path_;
    sqlite3* handle_ = nullptr;
    Durability durability_ = Durability::soon;
    int journal_pages_ = 0;
    std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

// One run of a statement, from the binding of its values to the last row. Only one of a statement
// at a time, which holds as statements are not used recursively. Texts and blobs of a row live
// until next().
class Query {
  public:
    template <class... Values>
    Query(Connection& connection, const char* sql, const Values&... values)
        : connection_(connection), statement_(connection.prepared(sql)) {
        int index = 0;
        (bind(++index, values), ...);
    }
    // Lets go of the snapshot that a read holds.
    ~Query();
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    // False after the last row.
    bool next();

    std::int64_t number(int column) const;
    double real(int column) const;
    std::string_view text(int column) const;
    std::span<const std::uint8_t> blob(int column) const;
    // Nothing where it has another size.
    template <std::size_t Size>
    std::optional<std::array<std::uint8_t, Size>> bytes(int column) const {
        const auto all = blob(column);
        if (all.size() != Size) return std::nullopt;
        std::array<std::uint8_t, Size> found{};
        std::ranges::copy(all, found.begin());
        return found;
    }
    bool is_null(int column) const;

  private:
    template <std::integral Number>
    void bind(int index, Number value) {
        bind_number(index, static_cast<std::int64_t>(value));
    }
    template <class Enumerator>
        requires std::is_enum_v<Enumerator>
    void bind(int index, Enumerator value) {
        bind_number(index, static_cast<std::int64_t>(value));
    }
    template <class Value>
    void bind(int index, const std::optional<Value>& value) {
        if (value) bind(index, *value);  // else it is null, as every value is at first
    }
    template <std::size_t Size>
    void bind(int index, const std::array<std::uint8_t, Size>& bytes) {
        bind_blob(index, std::as_bytes(std::span(bytes)));
    }
    void bind(int index, double value) { bind_real(index, value); }
    void bind(int index, std::string_view text) { bind_text(index, text); }
    void bind(int index, std::span<const std::byte> bytes) { bind_blob(index, bytes); }

    void bind_number(int index, std::int64_t value);
    void bind_real(int index, double value);
    void bind_text(int index, std::string_view text);
    void bind_blob(int index, std::span<const std::byte> bytes);
    void check(int code) const;

    Connection& connection_;
    sqlite3_stmt* statement_;
};

// Runs a statement that gives no rows; the number of rows it changed.
template <class... Values>
std::size_t run(Connection& connection, const char* sql, const Values&... values) {
    Query query(connection, sql, values...);
    while (query.next()) {
    }
    return connection.changes();
}

// Rolled back where it is not committed.
class Transaction {
  public:
    explicit Transaction(Connection& connection);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

  private:
    Connection& connection_;
};

// Several reads that see one moment.
class Snapshot {
  public:
    explicit Snapshot(Connection& connection);
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

  private:
    Connection& connection_;
};

}  // namespace tidepool::storage::sqlite
