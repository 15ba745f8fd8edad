// What a command works with: settings, the catalog, the pools and their drivers.
#pragma once

#include "conf/settings.h"
#include "proxy/cli/command.h"
#include "storage/catalog.h"
#include "storage/driver.h"
#include "storage/driver_set.h"
#include "storage/known_pool.h"

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::cli {

using storage::KnownPool;

class Workspace {
  public:
    // Reads the file, opens the catalog and declares the file's pools there. What is wrong was
    // written to standard error; the error is the exit status: 2 for the configuration, 1 else.
    static std::expected<Workspace, int> open(const CommonOptions& options);

    const conf::Settings& settings() const { return settings_; }
    storage::Catalog& catalog() { return *catalog_; }
    const std::vector<KnownPool>& pools() const { return pools_; }

    // By name; an error names the nearest one there is, or says why it cannot be used.
    Result<const KnownPool*> find_pool(std::string_view name) const;
    const KnownPool* find_pool(storage::PoolId id) const;
    // Of any pool in the catalog, also of one that is no longer in the file.
    std::string pool_name(storage::PoolId id) const;

    // Made at its first use and kept. Blocks at most to read settings: no store is asked.
    storage::Driver& driver(const KnownPool& pool);
    storage::DriverSet& drivers() { return *drivers_; }

    // The driver of the pool that a row names, misconfigured where the file has none of that name.
    Result<storage::Driver*> driver_of(const storage::ObjectRecord& object);

    // Removes the bytes of the object that a row names, and then the row. Bytes first: where this
    // is interrupted in between, the row still says where the rest is to be removed, so that doing
    // it again ends it. With the row first, what is left in a bucket would be known to nobody, and
    // on a disk it would be adopted again.
    Result<void> remove(const storage::ObjectRecord& object);

    // The first local pool that has this key although the catalog may not know it yet (invariant
    // 11); null where none has.
    Result<const KnownPool*> find_on_disks(std::string_view key);

  private:
    Workspace() = default;
    Result<void> load_pools();

    conf::Settings settings_;
    std::unique_ptr<storage::Catalog> catalog_;
    std::vector<KnownPool> pools_;
    std::map<storage::PoolId, std::string> names_;
    std::unique_ptr<storage::DriverSet> drivers_;
};

// "uploads/a.jpg" of "uploads/a.jpg" or "/uploads/a.jpg"; invalid for what no URL can name.
Result<std::string> read_key(const std::string& text);

// Writes "tidepool: TEXT" to standard error; 1.
int failed(const Error& error);
// The same, as JSON for programs: {"error": KIND, "message": TEXT}, on standard output.
int failed(const Error& error, bool json);
// The same of what was asked for wrongly; 2.
int wrong_use(const Error& error, bool json = false);

std::int64_t now_s();

}  // namespace tidepool::cli
