#include "proxy/cli/open_stores.h"

#include "conf/log.h"
#include "proxy/api/pool_json.h"
#include "storage/catalog_sqlite.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace tidepool::cli {

namespace {

using PoolIds = std::map<std::string, storage::PoolId>;

Result<PoolIds> declare_pools(storage::Catalog& catalog, const conf::Settings& settings) {
    PoolIds ids;
    for (const conf::PoolSettings& pool : settings.pools) {
        const auto record = catalog.declare_pool(pool.name, api::pool_json(pool));
        if (!record) return std::unexpected(record.error());
        ids.emplace(pool.name, record->id);
    }
    return ids;
}

}  // namespace

Result<std::unique_ptr<serve::Stores>> open_stores(const conf::Settings& settings) {
    const bool has_buckets = std::ranges::any_of(settings.pools, [](const auto& pool) {
        return pool.storage_type == conf::PoolSettings::Type::s3;
    });
    std::unique_ptr<storage::Catalog> catalog;
    PoolIds ids;
    if (!settings.catalog.url.empty()) {
        auto opened = storage::open_catalog(settings.catalog.url);
        auto declared = opened ? declare_pools(**opened, settings)
                               : Result<PoolIds>(std::unexpected(opened.error()));
        if (declared) {
            catalog = std::move(*opened);
            ids = std::move(*declared);
        } else if (has_buckets) {
            return std::unexpected(std::move(declared.error()));
        } else {
            conf::log_warn("going on without a catalog reason=\"{}\"", declared.error().text);
        }
    }
    std::unique_ptr<storage::Shelf> shelf;
    if (has_buckets && !settings.shelf.path.empty()) {
        auto opened = storage::Shelf::open(settings.shelf);
        if (opened) {
            shelf = std::move(*opened);
        } else {
            conf::log_error(
                "going on without a shelf, so buckets are asked more often reason=\"{}\"",
                opened.error().text);
        }
    }
    return std::make_unique<serve::Stores>(settings, std::move(catalog), std::move(ids),
                                           std::move(shelf));
}

}  // namespace tidepool::cli
