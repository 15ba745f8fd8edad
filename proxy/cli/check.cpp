#include "proxy/cli/commands.h"
#include "proxy/cli/load_settings.h"
#include "storage/local_pool.h"

#include <fmt/format.h>

namespace tidepool::cli {

int check(const ServeOptions& options) {
    const auto settings = load_settings(options);
    if (!settings) return 2;
    int status = 0;
    for (const conf::PoolSettings& pool : settings->pools) {
        const auto checked =
            storage::LocalPool(pool, settings->server.url_prefix.substr(1)).check();
        if (checked) {
            fmt::print("pool {}: {} is readable\n", pool.name, pool.base_path);
        } else {
            fmt::print(stderr, "{}\n", checked.error().text);
            status = 1;
        }
    }
    if (status == 0) fmt::print("{}: good\n", options.config);
    return status;
}

}  // namespace tidepool::cli
