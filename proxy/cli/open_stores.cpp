#include "proxy/cli/open_stores.h"

#include "conf/log.h"
#include "conf/settings_check.h"
#include "proxy/cli/takeover.h"
#include "storage/catalog_sqlite.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

bool is_bucket(const conf::PoolSettings& pool) {
    return pool.storage_type == conf::PoolSettings::Type::s3;
}

// With the file's pools declared in it.
Result<std::unique_ptr<storage::Catalog>> open_declared(const conf::Settings& settings,
                                                        const std::optional<conf::SealingKey>& key,
                                                        StoresFor whom) {
    auto catalog = storage::open_catalog(settings.catalog.url);
    if (!catalog) return catalog;
    api::PoolRegistry registry(settings, catalog->get(), key);
    std::chrono::seconds settle{};
    if (has_predecessor())
        settle =
            kSuccessorTime + std::chrono::ceil<std::chrono::seconds>(settings.server.drain_timeout);
    const auto declared =
        whom == StoresFor::server ? registry.declare(settings, settle) : registry.declare_new();
    if (!declared) return std::unexpected(declared.error());
    return catalog;
}

}  // namespace

Result<std::optional<conf::SealingKey>> read_secrets_key(const conf::Settings& settings) {
    if (settings.catalog.secrets_key_file.empty()) return std::nullopt;
    auto key = conf::SealingKey::read(settings.catalog.secrets_key_file);
    if (!key) return fail(key.error().kind, "catalog.secrets_key_file: " + key.error().text);
    return std::move(*key);
}

Result<OpenedStores> open_stores(const conf::Settings& settings, StoresFor whom) {
    auto key = read_secrets_key(settings);
    if (!key) return std::unexpected(std::move(key.error()));
    std::unique_ptr<storage::Catalog> catalog;
    if (!settings.catalog.url.empty()) {
        auto opened = open_declared(settings, *key, whom);
        if (opened) {
            catalog = std::move(*opened);
        } else if (const auto need = conf::need_of_catalog(settings); !need.empty()) {
            return fail(opened.error().kind, fmt::format("{}; {} cannot be without a catalog",
                                                         opened.error().text, need));
        } else {
            conf::log_warn("going on without a catalog reason=\"{}\"", opened.error().text);
        }
    }
    OpenedStores all;
    all.registry = std::make_unique<api::PoolRegistry>(settings, catalog.get(), std::move(*key));
    auto pools = all.registry->load();
    if (!pools) return std::unexpected(std::move(pools.error()));
    all.pools = std::move(*pools);
    all.settings = std::make_unique<api::SettingsRegistry>(settings, catalog.get());

    // Buckets can be added later where the admin API is open.
    const bool has_buckets =
        std::ranges::any_of(all.pools, is_bucket, &storage::KnownPool::settings);
    const bool may_have_buckets = has_buckets || (catalog && !settings.admin.token.empty());
    std::unique_ptr<storage::Shelf> shelf;
    if (may_have_buckets && !settings.shelf.path.empty()) {
        auto opened = storage::Shelf::open(settings.shelf);
        if (opened) {
            shelf = std::move(*opened);
        } else {
            conf::log_error(
                "going on without a shelf, so buckets are asked more often reason=\"{}\"",
                opened.error().text);
        }
    }
    all.stores = std::make_unique<serve::Stores>(settings, std::move(catalog), std::move(shelf));
    return all;
}

}  // namespace tidepool::cli
