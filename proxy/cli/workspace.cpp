#include "proxy/cli/workspace.h"

#include "conf/nearest_name.h"
#include "conf/quote.h"
#include "proxy/api/pool_registry.h"
#include "proxy/cli/load_settings.h"
#include "proxy/cli/open_stores.h"
#include "proxy/cli/output.h"
#include "storage/catalog_sqlite.h"
#include "storage/key.h"
#include "storage/mirrors.h"
#include "storage/purge_job.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace tidepool::cli {

using storage::PoolId;

std::expected<Workspace, int> Workspace::open(const CommonOptions& options) {
    ServeOptions files;
    files.config = options.config;
    files.state_dir = options.state_dir;
    auto settings = load_settings(files);
    if (!settings) return std::unexpected(2);
    if (settings->catalog.url.empty()) {
        failed({ErrorKind::invalid, options.config + ": catalog.url is \"\", so there is no "
                                                     "catalog; set it or use --state-dir DIR"},
               options.json);
        return std::unexpected(2);
    }
    auto catalog = storage::open_catalog(settings->catalog.url);
    if (!catalog) return std::unexpected(failed(catalog.error(), options.json));
    Workspace workspace;
    workspace.settings_ = std::move(*settings);
    workspace.catalog_ = std::move(*catalog);
    if (const auto loaded = workspace.load_pools(); !loaded) {
        return std::unexpected(failed(loaded.error(), options.json));
    }
    return workspace;
}

// Those of the file, which are declared in the catalog, and those made at run time.
Result<void> Workspace::load_pools() {
    auto key = read_secrets_key(settings_);
    if (!key) return std::unexpected(std::move(key.error()));
    api::PoolRegistry registry(settings_, catalog_.get(), std::move(*key));
    if (auto declared = registry.declare_new(); !declared) return declared;
    auto pools = registry.load();
    if (!pools) return std::unexpected(std::move(pools.error()));
    pools_ = std::move(*pools);
    drivers_ =
        std::make_unique<storage::DriverSet>(*catalog_, settings_.server.url_prefix.substr(1));
    drivers_->use_pools(pools_);
    catalog_->follow_outdated(storage::purge_follower(settings_, pools_));
    const auto rows = catalog_->pools();
    if (!rows) return std::unexpected(rows.error());
    for (const storage::PoolRecord& row : *rows)
        names_[row.id] = row.name;
    return {};
}

Result<const KnownPool*> Workspace::find_pool(std::string_view name) const {
    std::vector<std::string_view> names;
    for (const KnownPool& pool : pools_) {
        if (pool.settings.name == name) {
            if (pool.problem.empty()) return &pool;
            return fail(ErrorKind::misconfigured,
                        fmt::format("pool {} cannot be used: {}", name, pool.problem));
        }
        names.push_back(pool.settings.name);
    }
    std::string text = fmt::format("there is no pool {}", conf::quote(name));
    if (const auto nearest = conf::nearest_name(name, names)) {
        text += fmt::format("; did you mean {}?", conf::quote(*nearest));
    } else {
        text += fmt::format("; there are: {}", fmt::join(names, ", "));
    }
    return fail(ErrorKind::invalid, std::move(text));
}

const KnownPool* Workspace::find_pool(PoolId id) const {
    const auto found =
        std::ranges::find_if(pools_, [id](const KnownPool& pool) { return pool.id == id; });
    return found == pools_.end() ? nullptr : &*found;
}

std::string Workspace::pool_name(PoolId id) const {
    const auto found = names_.find(id);
    return found == names_.end() ? "?" : found->second;
}

storage::Driver& Workspace::driver(const KnownPool& pool) {
    // It is there: `pool` is one of ours that has no problem.
    return *drivers_->find(pool.id)->driver;
}

Result<storage::Driver*> Workspace::driver_of(const storage::ObjectRecord& object) {
    const auto pool = drivers_->find(object.pool);
    if (!pool) return fail(pool.error().kind, fmt::format("{}: {}", object.key, pool.error().text));
    return pool->driver.get();
}

Result<void> Workspace::remove(const storage::ObjectRecord& object) {
    const auto driver = driver_of(object);
    if (!driver) return std::unexpected(driver.error());
    if (auto removed = storage::remove_mirror_copies(catalog(), *drivers_, object.key); !removed)
        return removed;
    if (auto removed = (*driver)->remove(object.key); !removed) return removed;
    const auto gone = catalog().remove_object(object.key, object.pool);
    if (!gone) return std::unexpected(gone.error());
    // A copy that was being made meanwhile.
    if (*gone) return storage::remove_mirror_copies(catalog(), *drivers_, object.key);
    const auto row = catalog().find(object.key);
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};  // somebody else did the same
    return fail(ErrorKind::conflict,
                fmt::format("{} was moved to pool {} meanwhile, and is there; do it again",
                            object.key, pool_name((*row)->pool)));
}

Result<const KnownPool*> Workspace::find_on_disks(std::string_view key) {
    for (const KnownPool& pool : pools_) {
        const bool is_folder = pool.settings.storage_type != conf::PoolSettings::Type::s3;
        if (!is_folder || !pool.problem.empty()) continue;
        const auto there = driver(pool).head(key);
        if (there) return &pool;
        if (there.error().kind != ErrorKind::not_found) return std::unexpected(there.error());
    }
    return nullptr;
}

Result<std::string> read_key(const std::string& text) {
    std::string path = text.starts_with('/') ? "" : "/";
    for (const char c : text)
        c == '%' ? path += "%25" : path += c;
    std::string key;
    if (storage::key_from_path(path, "/", key) == storage::KeyVerdict::good) return key;
    return fail(ErrorKind::invalid,
                fmt::format("{} is no key: it must be the path of a URL like "
                            "\"uploads/original/2026/02/25/UUID.jpg\", not that of a folder, of a "
                            "hidden or of a temporary file",
                            conf::quote(text)));
}

int failed(const Error& error) {
    fmt::print(stderr, "tidepool: {}\n", conf::printable(error.text));
    return 1;
}

int failed(const Error& error, bool json) {
    if (json) print_json({{"error", name_of(error.kind)}, {"message", error.text}});
    return failed(error);
}

int wrong_use(const Error& error, bool json) {
    return failed(error, json) + 1;
}

std::int64_t now_s() {
    return std::time(nullptr);
}

}  // namespace tidepool::cli
