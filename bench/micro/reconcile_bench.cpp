// How long does a reconcile of a million rows against a listing take, and how much memory?
//
//   reconcile_bench FILE COUNT
//
// Scans a made-up listing into a new catalog FILE, then compares twice: with the same listing, and
// with one that lacks every 100th object. Prints one line "NAME VALUE" for each figure.

#include "bench/micro/listed_driver.h"
#include "storage/catalog_sqlite.h"
#include "storage/reconcile.h"
#include "storage/scan.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using namespace tidepool::bench;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::int64_t kNow = 1'800'000'000;
constexpr std::uint64_t kAbsentEvery = 100;

template <class T>
T must(Result<T> result) {
    if (result) return std::move(*result);
    fmt::print(stderr, "reconcile_bench: {}\n", result.error().text);
    std::exit(1);
}

ReconcileResult compare(Catalog& catalog, PoolId pool, const char* name, std::uint64_t count,
                        std::uint64_t absent_every) {
    KnownPool known;
    known.settings.name = "listed";
    known.id = pool;
    DriverSet drivers(catalog, "uploads/", [&](const conf::PoolSettings&) {
        return std::make_unique<ListedDriver>(count, absent_every);
    });
    drivers.use_pools({known});
    const auto start = Clock::now();
    auto result = must(reconcile_pool(catalog, drivers, pool, {.now_s = kNow}));
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    fmt::print("{}_s {:.2f}\n{}_found {}\n", name, seconds, name, result.counts.found());
    return result;
}

}  // namespace

int main(int count, char** values) {
    if (count != 3) {
        fmt::print(stderr, "usage: reconcile_bench FILE COUNT\n");
        return 2;
    }
    const std::uint64_t objects = std::strtoull(values[2], nullptr, 10);
    const auto catalog = must(open_sqlite_catalog(values[1]));
    const PoolId pool = must(catalog->declare_pool("listed", "{}")).id;
    ListedDriver driver(objects);
    must(scan_pool(driver, *catalog, pool, {.now_s = kNow}));
    const auto well = compare(*catalog, pool, "well", objects, 0);
    const auto worse = compare(*catalog, pool, "absent", objects, kAbsentEvery);
    const std::uint64_t absent = (driver.count() + kAbsentEvery - 1) / kAbsentEvery;
    if (!well.all_well() || worse.counts.of(FindingKind::missing_object).found != absent) return 1;
    print_memory();
    return 0;
}
