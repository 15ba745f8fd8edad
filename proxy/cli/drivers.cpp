#include "proxy/cli/drivers.h"

#include <fmt/format.h>

namespace tidepool::cli {

Result<std::unique_ptr<storage::Driver>> make_driver(const conf::PoolSettings& pool,
                                                     const std::string& key_prefix) {
    return fail(ErrorKind::misconfigured,
                fmt::format("pool {}: its type has no driver yet ({})", pool.name, key_prefix));
}

}  // namespace tidepool::cli
