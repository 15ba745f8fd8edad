#include "proxy/cli/commands.h"
#include "proxy/cli/load_settings.h"
#include "storage/make_driver.h"

#include <chrono>
#include <csignal>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

// Somebody waits at a terminal: fewer tries and shorter waits than a background job has.
storage::S3Limits short_limits() {
    using namespace std::chrono_literals;
    storage::S3Limits limits;
    limits.retry = {.tries = 3, .first = 500ms, .most = 3s, .budget = 15s};
    limits.http.connect_timeout = 5s;
    limits.http.stall_timeout = 15s;
    return limits;
}

bool check_pool(const conf::PoolSettings& pool, const std::string& key_prefix, bool write) {
    const auto driver = storage::make_driver(pool, key_prefix, nullptr, short_limits());
    const auto found = driver->check(write);
    if (!found) {
        fmt::print(stderr, "{}\n", found.error().text);
        return false;
    }
    for (const std::string& line : *found)
        fmt::print("pool {}: {}\n", pool.name, line);
    return true;
}

}  // namespace

int check(const ServeOptions& options, bool write) {
    const auto settings = load_settings(options);
    if (!settings) return 2;
    std::signal(SIGPIPE, SIG_IGN);  // a store that closes is an error like others
    int status = 0;
    for (const conf::PoolSettings& pool : settings->pools) {
        if (!check_pool(pool, settings->server.url_prefix.substr(1), write)) status = 1;
    }
    if (status == 0) fmt::print("{}: good\n", options.config);
    return status;
}

}  // namespace tidepool::cli
