// How fast is the catalog at ten million objects, and how much memory does it take?
//
//   catalog_bench scan FILE COUNT            scans a made-up listing of so many objects into FILE
//   catalog_bench find FILE COUNT [THREADS]  looks up random keys of it; without its page cache
//   first
//
// Prints one line "NAME VALUE" for each figure. bench/catalog/run.py runs both.

#include "bench/micro/listed_driver.h"
#include "storage/catalog_sqlite.h"
#include "storage/scan.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using namespace tidepool::bench;
using Clock = std::chrono::steady_clock;

namespace {

[[noreturn]] void give_up(const Error& error) {
    fmt::print(stderr, "catalog_bench: {}\n", error.text);
    std::exit(1);
}

template <class T>
T must(Result<T> result) {
    if (!result) give_up(result.error());
    return std::move(*result);
}

void scan(const std::string& file, std::uint64_t count) {
    const auto catalog = must(open_sqlite_catalog(file));
    ListedDriver driver(count);
    const PoolId pool = must(catalog->declare_pool("listed", "{}")).id;
    for (const char* name : {"scan", "rescan"}) {
        const auto start = Clock::now();
        const std::clock_t cpu_start = std::clock();  // of all threads of the process
        const ScanResult result = must(scan_pool(driver, *catalog, pool, {.now_s = 1'700'000'000}));
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        if (result.counts.seen != driver.count() || result.counts.vanished != 0) std::exit(1);
        const double cpu_seconds =
            static_cast<double>(std::clock() - cpu_start) / static_cast<double>(CLOCKS_PER_SEC);
        const auto objects = static_cast<double>(driver.count());
        fmt::print("{}_per_s {:.0f}\n{}_per_core_s {:.0f}\n", name, objects / seconds, name,
                   objects / cpu_seconds);
    }
    print_memory();
}

std::vector<std::uint32_t> time_finds(Catalog& catalog, std::uint64_t images, std::uint64_t finds,
                                      std::uint64_t seed) {
    std::vector<std::uint32_t> times;
    times.reserve(finds);
    for (std::uint64_t i = 0; i < finds; ++i) {
        const std::string key = key_of(mixed(seed + i) % (images * kPerImage), images);
        const auto start = Clock::now();
        const auto found = catalog.find(key);
        times.push_back(static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count()));
        if (!found || !*found) std::exit(1);
    }
    return times;
}

void find(const std::string& file, std::uint64_t count, std::size_t threads) {
    constexpr std::uint64_t kFinds = 200'000;  // of each thread
    const auto catalog = must(open_sqlite_catalog(file));
    const std::uint64_t images = count / kPerImage;
    time_finds(*catalog, images, kFinds, 1ULL << 40);  // brings the file's pages into memory
    std::vector<std::vector<std::uint32_t>> by_thread(threads);
    const auto start = Clock::now();
    {
        std::vector<std::jthread> running;
        for (std::size_t i = 0; i < threads; ++i) {
            running.emplace_back(
                [&, i] { by_thread[i] = time_finds(*catalog, images, kFinds, (i + 2) << 41); });
        }
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::vector<std::uint32_t> times;
    for (const auto& some : by_thread)
        times.insert(times.end(), some.begin(), some.end());
    std::ranges::sort(times);
    const auto part = [&](double share) {
        return times[static_cast<std::size_t>(static_cast<double>(times.size() - 1) * share)] /
               1000.0;
    };
    fmt::print("median_us {:.1f}\np99_us {:.1f}\nfinds_per_s {:.0f}\n", part(0.5), part(0.99),
               static_cast<double>(times.size()) / seconds);
    print_memory();
}

}  // namespace

int main(int count, char** values) {
    const std::vector<std::string> arguments(values + 1, values + count);
    if (arguments.size() < 3 || (arguments[0] != "scan" && arguments[0] != "find")) {
        fmt::print(stderr, "usage: catalog_bench scan|find FILE COUNT [THREADS]\n");
        return 2;
    }
    const std::uint64_t objects = std::strtoull(arguments[2].c_str(), nullptr, 10);
    const std::size_t threads =
        arguments.size() > 3 ? std::strtoul(arguments[3].c_str(), nullptr, 10) : 1;
    if (arguments[0] == "scan") {
        scan(arguments[1], objects);
    } else {
        find(arguments[1], objects, threads);
    }
    return 0;
}
