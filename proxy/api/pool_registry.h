// Which pools there are: those of the configuration file, which manages them, and those made at run
// time, which the catalog keeps.
#pragma once

#include "conf/sealing.h"
#include "conf/settings.h"
#include "proxy/api/pool_json.h"
#include "storage/catalog.h"
#include "storage/known_pool.h"

#include <chrono>
#include <expected>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::api {

// Why a change of the pools was not made, as it is answered.
struct PoolRefusal {
    int status = 0;    // of HTTP
    std::string code;  // "not_found"
    std::string message;
    std::vector<FieldProblem> problems{};
};
template <class T>
using PoolResult = std::expected<T, PoolRefusal>;

// Safe from any thread; calls block on the catalog.
class PoolRegistry {
  public:
    // `catalog` outlives it; null: there are the file's pools and no others. `key` encrypts the
    // secrets of pools made at run time; none: such pools cannot have any.
    PoolRegistry(const conf::Settings& file, storage::Catalog* catalog,
                 std::optional<conf::SealingKey> key);

    // Takes another file's pools, and writes those of the file into the catalog. Conflict where a
    // pool made at run time has the name of one of them. Where one becomes private, by what the
    // catalog or the file before said of it, the edge is told to forget what it may have of it,
    // once `settle` is over: so long another process may go on by what was before.
    Result<void> declare(const conf::Settings& file, std::chrono::seconds settle = {});
    // For a program that serves nothing: writes those alone that the catalog does not know, so that
    // a server sees what has changed of the others.
    Result<void> declare_new();

    // All pools, those of the file first, in its order. One of the catalog's that cannot be used,
    // since its secrets cannot be read or the file now contradicts it, says so, and so does the
    // log.
    Result<std::vector<storage::KnownPool>> load();

    // Makes a pool of the fields of a [[pool]], credentials in clear.
    PoolResult<storage::KnownPool> create(const Json& fields);
    // Changes the fields that are there, and resets those that are null (RFC 7396). Of a pool of
    // the file only its state can be changed. What says where its objects are cannot be changed
    // while it has any. Where it becomes private the edge is told to forget what it may have of it.
    PoolResult<storage::KnownPool> change(std::string_view name, const Json& fields);
    // Only a pool that is empty and not the file's.
    PoolResult<void> remove(std::string_view name);

    // A pool as it is shown: its fields, who manages it, its state, what it holds.
    PoolResult<Json> show(std::string_view name);
    PoolResult<Json> show_all();

  private:
    using Record = storage::PoolRecord;

    conf::Settings file() const;
    storage::KnownPool decode(const Record& record) const;
    std::string open_secrets(const Record& record, conf::PoolSettings& into) const;
    PoolResult<Record> encode(const storage::KnownPool& pool) const;
    PoolResult<storage::KnownPool> find(std::string_view name);
    PoolResult<std::vector<storage::KnownPool>> load_or_refuse();
    Result<void> purge_hidden(const conf::Settings& file,
                              const std::vector<storage::KnownPool>& pools,
                              const conf::PoolSettings& pool, std::chrono::seconds settle);
    PoolResult<void> change_state(const storage::KnownPool& pool);
    PoolResult<conf::PoolSettings> merge(const storage::KnownPool& pool, Json fields,
                                         std::vector<FieldProblem> problems);
    PoolResult<bool> is_empty(storage::PoolId pool);
    PoolResult<Json> shown(const std::vector<storage::KnownPool>& pools);
    void complain(const std::string& pool, const std::string& why);

    storage::Catalog* catalog_;
    std::optional<conf::SealingKey> key_;
    std::mutex change_mutex_;  // one change at a time, so that two cannot contradict each other
    mutable std::mutex mutex_;
    conf::Settings file_;  // its pools, and what else a pool is checked against
    std::map<std::string, std::string> complaints_;  // what the log was told last, by pool
};

}  // namespace tidepool::api
