#include "proxy/serve/origin.h"

#include "tests/support/folder.h"

#include <cstdint>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

constexpr std::uint64_t kMiB = 1024ULL * 1024;
using Ranges = std::vector<http::ByteRange>;

// So many of one length, one every `step` bytes.
Ranges every(std::uint64_t step, std::uint64_t length, unsigned count) {
    Ranges ranges;
    for (unsigned i = 0; i < count; ++i)
        ranges.push_back({i * step, length});
    return ranges;
}

}  // namespace

TEST_CASE("origin: ranges are scattered where much more is fetched than is asked for",
          "[serve][origin]") {
    const test::Folder folder;
    auto shelf = storage::Shelf::open(
        {.path = folder.path("shelf"), .size_bytes = 100 * kMiB, .min_free_bytes = 0});
    REQUIRE(shelf);
    loop::WorkerPool workers("shelf", 1, 8);
    const Origin origin({}, kMiB, shelf->get(), &workers);
    constexpr std::uint64_t kSize = 64 * kMiB;
    CHECK_FALSE(origin.are_scattered({}, kSize));
    CHECK_FALSE(origin.are_scattered(Ranges{{5, 1}}, kSize));
    CHECK_FALSE(origin.are_scattered(every(kMiB, 1, 4), kSize));
    CHECK(origin.are_scattered(every(kMiB, 1, 5), kSize));
    CHECK(origin.are_scattered(every(kMiB, 1, 64), kSize));
    // In whatever order they are asked for.
    CHECK(origin.are_scattered(
        Ranges{{9 * kMiB, 1}, {7 * kMiB, 1}, {5 * kMiB, 1}, {3 * kMiB, 1}, {kMiB, 1}}, kSize));
    // They share slices.
    CHECK_FALSE(origin.are_scattered(every(10'000, 1, 64), kSize));
    CHECK_FALSE(origin.are_scattered(
        Ranges{{9'000, 10}, {3 * kMiB, 1}, {100, 10}, {3 * kMiB + 500, 1}}, kSize));
    // Across borders each takes two.
    CHECK_FALSE(origin.are_scattered(Ranges{{kMiB - 1, 2}, {9 * kMiB - 1, 2}}, kSize));
    CHECK(origin.are_scattered(Ranges{{kMiB - 1, 2}, {9 * kMiB - 1, 2}, {20 * kMiB, 1}}, kSize));
    // Large ones are asked for with all that is fetched.
    CHECK_FALSE(origin.are_scattered(Ranges{{0, 20 * kMiB}, {30 * kMiB, 20 * kMiB}}, kSize));
    CHECK_FALSE(origin.are_scattered(every(8 * kMiB + 5, 4 * kMiB, 4), kSize));
    // All of a small object is one fetch.
    CHECK_FALSE(origin.are_scattered(every(10'000, 1, 64), kMiB));
}

TEST_CASE("origin: without a shelf each of several ranges is a fetch", "[serve][origin]") {
    const Origin origin({}, kMiB, nullptr, nullptr);
    CHECK_FALSE(origin.are_scattered(every(10'000, 1, 4), kMiB));
    CHECK(origin.are_scattered(every(10'000, 1, 5), kMiB));
    CHECK_FALSE(origin.are_scattered(every(2 * kMiB, kMiB, 64), 128 * kMiB));
}
