#include "proxy/cli/drivers.h"

#include "storage/local_driver.h"

#include <fmt/format.h>

namespace tidepool::cli {

Result<std::unique_ptr<storage::Driver>> make_driver(const conf::PoolSettings& pool,
                                                     const std::string& key_prefix) {
    if (pool.storage_type != conf::PoolSettings::Type::s3) {
        return std::make_unique<storage::LocalDriver>(pool, key_prefix);
    }
    return fail(ErrorKind::misconfigured,
                fmt::format("pool {}: its type has no driver yet", pool.name));
}

}  // namespace tidepool::cli
