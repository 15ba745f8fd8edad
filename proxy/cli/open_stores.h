// The catalog, the pools, the buckets and the shelf that a configuration asks for.
#pragma once

#include "conf/error.h"
#include "conf/sealing.h"
#include "conf/settings.h"
#include "proxy/api/pool_registry.h"
#include "proxy/api/settings_registry.h"
#include "proxy/serve/stores.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace tidepool::cli {

// The key of catalog.secrets_key_file; nothing where there is no such setting.
Result<std::optional<conf::SealingKey>> read_secrets_key(const conf::Settings& settings);

struct OpenedStores {
    std::unique_ptr<serve::Stores> stores;
    std::unique_ptr<api::PoolRegistry> registry;      // uses the catalog of `stores`
    std::vector<storage::KnownPool> pools;            // as the registry had them
    std::unique_ptr<api::SettingsRegistry> settings;  // uses the same catalog
};

// Who opens them: a server, which answers by what the file says of its pools, or a command that
// runs beside it and leaves what has changed of them to the server.
enum class StoresFor : std::uint8_t { server, command };

// Opens them and declares the file's pools in the catalog. Fails where buckets are to be served and
// their catalog cannot be opened. What is only lost in speed or in what is written down (a shelf
// that cannot be used, the catalog of local pools) is said in the log, and gone without.
Result<OpenedStores> open_stores(const conf::Settings& settings, StoresFor whom);

}  // namespace tidepool::cli
