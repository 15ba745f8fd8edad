// How fast is the catalog at ten million objects, and how much memory does it take?
//
//   catalog_bench scan FILE COUNT            scans a made-up listing of so many objects into FILE
//   catalog_bench find FILE COUNT [THREADS]  looks up random keys of it; without its page cache
//   first
//
// Prints one line "NAME VALUE" for each figure. bench/catalog/run.py runs both.

#include "storage/catalog_sqlite.h"
#include "storage/scan.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using Clock = std::chrono::steady_clock;

namespace {

// An original and six variants, as the image host makes them; sorted as their keys are.
constexpr std::string_view kVariants[] = {".avif",        ".webp",       "_medium.avif",
                                          "_medium.webp", "_small.avif", "_small.webp"};
constexpr std::uint64_t kPerImage = 1 + std::size(kVariants);
constexpr std::uint64_t kImagesPerDay = 2000;
constexpr std::uint64_t kDaysPerMonth = 28;

std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31);
}

// The days and UUIDs of images rise with their number, so that their keys are sorted.
std::string image_path(std::uint64_t image) {
    const std::uint64_t day = image / kImagesPerDay;
    const std::uint64_t month = day / kDaysPerMonth;
    const std::uint64_t rank = (image % kImagesPerDay) * ((1ULL << 32) / kImagesPerDay);
    const std::uint64_t noise = mixed(image + 1);
    return fmt::format("{:04}/{:02}/{:02}/{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", 2000 + month / 12,
                       month % 12 + 1, day % kDaysPerMonth + 1, rank, noise & 0xFFFF,
                       (noise >> 16) & 0xFFF, (noise >> 28) & 0xFFF,
                       mixed(noise) & 0xFFFFFFFFFFFFULL);
}

std::string key_of(std::uint64_t index, std::uint64_t images) {
    if (index < images) return "uploads/original/" + image_path(index) + ".jpg";
    const std::uint64_t variant = index - images;
    std::string key = "uploads/variants/" + image_path(variant / std::size(kVariants));
    key += kVariants[variant % std::size(kVariants)];
    return key;
}

// Lists what it makes up; cannot do anything else.
class ListedDriver final : public Driver {
  public:
    explicit ListedDriver(std::uint64_t count)
        : images_(count / kPerImage), count_(images_ * kPerImage) {}

    std::uint64_t count() const { return count_; }
    const std::string& pool() const override { return name_; }

    Result<ListPage> list(std::string_view, const std::string& next, std::size_t limit) override {
        std::uint64_t index = 0;
        std::from_chars(next.data(), next.data() + next.size(), index);
        ListPage page;
        const std::uint64_t end = std::min(count_, index + limit);
        for (; index < end; ++index) {
            ObjectInfo info;
            info.key = key_of(index, images_);
            info.size = mixed(index) % 500'000;
            info.modified_s = 1'700'000'000;
            info.etag = fmt::format("{:016x}{:016x}", mixed(index), mixed(~index));
            page.objects.push_back(std::move(info));
        }
        if (end < count_) page.next = std::to_string(end);
        return page;
    }

    Result<ObjectInfo> put(std::string_view, ByteSource&, const PutOptions&) override {
        return none();
    }
    Result<ObjectInfo> get(std::string_view, const GetRange&, ByteSink&) override { return none(); }
    Result<ObjectInfo> head(std::string_view) override { return none(); }
    Result<void> remove(std::string_view) override { return none(); }
    Result<std::optional<ObjectInfo>> copy_within_store(Driver&, std::string_view, std::string_view,
                                                        const PutOptions&) override {
        return none();
    }
    Result<Space> space() override { return none(); }
    Result<std::vector<std::string>> check(bool) override { return none(); }

  private:
    static std::unexpected<Error> none() { return fail(ErrorKind::invalid, "only lists"); }

    std::string name_ = "listed";
    std::uint64_t images_;
    std::uint64_t count_;
};

[[noreturn]] void give_up(const Error& error) {
    fmt::print(stderr, "catalog_bench: {}\n", error.text);
    std::exit(1);
}

template <class T>
T must(Result<T> result) {
    if (!result) give_up(result.error());
    return std::move(*result);
}

void print_memory() {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        for (const std::string_view name : {"VmHWM:", "VmRSS:"}) {
            if (line.starts_with(name)) {
                fmt::print("{} {}\n", name.substr(0, 5),
                           std::strtoull(&line[name.size()], nullptr, 10));
            }
        }
    }
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
