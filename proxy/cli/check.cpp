#include "conf/bytes.h"
#include "conf/lifetime_advice.h"
#include "conf/purge_advice.h"
#include "conf/settings_check.h"
#include "conf/small_file.h"
#include "conf/timeout_advice.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/done_within.h"
#include "proxy/cli/load_settings.h"
#include "proxy/serve/b2_authorizer.h"
#include "proxy/tls/context.h"
#include "storage/catalog_sqlite.h"
#include "storage/make_driver.h"
#include "storage/store_gate.h"

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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

// Gets a download authorization, and whether the download host takes it.
bool check_authorization(const conf::PoolSettings& pool, storage::StoreGate& gate) {
    serve::B2Authorizer authorizer(pool, gate, short_limits().http);
    const auto granted = authorizer.authorize(nullptr);
    if (!granted) {
        fmt::print(stderr, "{}\n", granted.error().error.text);
        return false;
    }
    if (const auto taken = authorizer.probe(*granted); !taken) {
        fmt::print(stderr, "{}\n", taken.error().text);
        return false;
    }
    const std::string names =
        granted->prefix.empty() ? "every name" : "names that begin with " + granted->prefix;
    fmt::print("pool {}: downloads are authorized for {} at {}\n", pool.name, names,
               granted->grant.download_url);
    return true;
}

bool check_pool(const conf::PoolSettings& pool, const std::string& key_prefix, bool write) {
    const auto gate = std::make_shared<storage::StoreGate>(pool);
    const auto driver = storage::make_driver(pool, key_prefix, gate, short_limits());
    const auto found = driver->check(write);
    if (!found) fmt::print(stderr, "{}\n", found.error().text);
    for (const std::string& line : found.value_or(std::vector<std::string>{}))
        fmt::print("pool {}: {}\n", pool.name, line);
    // Another call of another host, so it may be all that is wrong, or all that is right.
    const bool is_authorized = !pool.download_authorization || check_authorization(pool, *gate);
    return found && is_authorized;
}

bool check_catalog(const conf::Settings& settings) {
    const auto checked = storage::check_catalog(settings.catalog.url);
    if (checked) return true;
    const auto need = conf::need_of_catalog(settings);
    fmt::print(stderr, "{}catalog.url: {}; {}\n", need.empty() ? "warning: " : "",
               checked.error().text,
               need.empty() ? "the server would go on without a catalog"
                            : fmt::format("{} cannot be without a catalog", need));
    return need.empty();
}

bool check_log(const conf::AccessLogSettings& log) {
    if (log.path.empty() || log.path == "-") return true;
    const auto writable = conf::may_write(log.path);
    if (!writable) fmt::print(stderr, "access_log.path: {}\n", writable.error().text);
    return writable.has_value();
}

// The key in `there` of what is `key` in `here`, if they were one bucket; nothing where none is.
std::optional<std::string> key_in(const conf::PoolSettings& there, const conf::PoolSettings& here,
                                  const std::string& key) {
    const std::string name = here.path_prefix + key;
    if (!name.starts_with(there.path_prefix)) return std::nullopt;
    return name.substr(there.path_prefix.size());
}

// Whether the first object of one bucket is seen in the other one, too.
bool shows_same(const conf::PoolSettings& here, const conf::PoolSettings& there,
                const std::string& key_prefix) {
    const auto drivers = [&](const conf::PoolSettings& pool) {
        return storage::make_driver(pool, key_prefix, std::make_shared<storage::StoreGate>(pool),
                                    short_limits());
    };
    const auto first = drivers(here);
    const auto page = first->list("", "", 1);
    if (!page || page->objects.empty()) return false;
    const std::string& key = page->objects.front().key;
    const auto other_key = key_in(there, here, key);
    if (!other_key) return false;
    const auto one = first->head(key);
    const auto other = drivers(there)->head(*other_key);
    return one && other && storage::is_same_object(*one, *other);
}

// Settings cannot tell whether two hosts are one store. A bucket that is still empty shows nothing,
// and then nothing can be lost in it.
bool check_shared_buckets(const conf::Settings& settings) {
    const std::string key_prefix = settings.server.url_prefix.substr(1);
    bool is_good = true;
    for (std::size_t second = 1; second < settings.pools.size(); ++second) {
        for (std::size_t first = 0; first < second; ++first) {
            const conf::PoolSettings& mine = settings.pools[second];
            const conf::PoolSettings& theirs = settings.pools[first];
            if (mine.bucket.empty() || mine.bucket != theirs.bucket) continue;
            if (!shows_same(mine, theirs, key_prefix) && !shows_same(theirs, mine, key_prefix))
                continue;
            fmt::print(stderr,
                       "pools {} and {} are one place under two names: what both show is the same "
                       "object. Remove one of them, or give it a bucket of its own\n",
                       theirs.name, mine.name);
            is_good = false;
        }
    }
    return is_good;
}

// Reads the certificates.
bool check_tls(const conf::Settings& settings) {
    if (settings.certificates.empty()) return true;
    const auto loaded = tls::Context::load(settings.tls, settings.certificates, settings.edge,
                                           std::make_shared<tls::TicketKeys>());
    if (!loaded) {
        fmt::print(stderr, "{}\n", loaded.error().text);
        return false;
    }
    for (const std::string& line : (*loaded)->lines())
        fmt::print("{}\n", line);
    for (const std::string& line : (*loaded)->warnings())
        fmt::print(stderr, "not in force today: {}\n", line);
    return true;  // or else a server could not be started again whose certificate has ended
}

// Who keeps strangers from private images, and how visitors come to those in buckets.
void mention_private(const conf::Settings& settings) {
    const conf::PrivateSettings& hidden = settings.private_images;
    if (hidden.signing_key.empty()) return;
    fmt::print("private: {} prefixes; {}\n", hidden.prefixes.size(),
               hidden.edge_checks
                   ? "the edge is to check signatures before its cache"
                   : "answers stay out of shared caches, as private.edge_checks is false");
    for (const conf::PoolSettings& pool : settings.pools) {
        if (pool.serve != conf::PoolSettings::Serve::redirect) continue;
        fmt::print("pool {}: {} redirected to presigned URLs of {}\n", pool.name,
                   pool.is_private() ? "its images are private and" : "images that are private are",
                   pool.endpoint_url);
    }
}

// What is set up and does not work, which may well be meant.
void mention_lock(const conf::EdgeSettings& edge) {
    if (!edge.has_checks() || edge.lock == conf::EdgeSettings::Lock::enforce) return;
    const bool logs = edge.lock == conf::EdgeSettings::Lock::log;
    fmt::print("edge: nobody is shut out: edge.lock is \"{}\"\n", logs ? "log" : "off");
}

void mention_doubts(const conf::Findings& findings) {
    for (const conf::Finding& finding : findings)
        fmt::print(stderr, "warning: {}: {}\n", finding.keys.front(), finding.message);
}

}  // namespace

int check(const ServeOptions& options, const CheckOptions& how) {
    const auto settings = load_settings(options);
    if (!settings) return 2;
    std::signal(SIGPIPE, SIG_IGN);  // a store that closes is an error like others
    mention_lock(settings->edge);
    mention_private(*settings);
    mention_doubts(conf::find_doubtful_lifetimes(*settings));
    mention_doubts(conf::find_doubtful_purges(*settings));
    mention_doubts(conf::find_doubtful_timeouts(*settings));
    int status = check_tls(*settings) ? 0 : 1;
    const auto look = [&](const std::string& what, const std::function<bool()>& is_good) {
        const auto done = done_within(how.patience, is_good);
        if (!done) {
            fmt::print(stderr, "{}: no answer within {}\n", what,
                       conf::format_duration(how.patience));
        }
        if (!done.value_or(false)) status = 1;
    };
    look("access_log.path", [&] { return check_log(settings->access_log); });
    if (!settings->catalog.url.empty())
        look("catalog.url", [&] { return check_catalog(*settings); });
    const std::string key_prefix = settings->server.url_prefix.substr(1);
    for (const conf::PoolSettings& pool : settings->pools)
        look("pool " + pool.name, [&] { return check_pool(pool, key_prefix, how.write); });
    look("pools of one bucket", [&] { return check_shared_buckets(*settings); });
    if (status == 0) fmt::print("{}: good\n", options.config);
    return status;
}

}  // namespace tidepool::cli
