#include "proxy/serve/view_counter.h"

#include "tests/support/catalog_backends.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using test::value_of;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;

storage::Uuid uuid(unsigned number) {
    storage::Uuid uuid{};
    uuid[12] = static_cast<std::uint8_t>(number >> 16);
    uuid[13] = static_cast<std::uint8_t>(number >> 8);
    uuid[14] = static_cast<std::uint8_t>(number);
    return uuid;
}

// Views are written of those that are known.
void add_viewed_images(storage::Catalog& catalog) {
    const storage::PoolId pool = test::make_pool(catalog, "hot");
    for (const unsigned number : {1U, 2U}) {
        value_of(catalog.put_image({.uuid = uuid(number),
                                    .pool = pool,
                                    .original = std::to_string(number),
                                    .metadata = {}}));
    }
}

struct Bench {
    Bench() { add_viewed_images(*catalog); }

    test::SqliteBackend backend;
    std::unique_ptr<storage::Catalog> catalog = backend.open();
    ViewCounter counter{conf::TieringSettings{}, 2};
};

}  // namespace

TEST_CASE("views: loops count apart, and an image's views are one row", "[serve][views]") {
    Bench bench;
    bench.counter.table(0).count(uuid(1), kNow);
    bench.counter.table(0).count(uuid(1), kNow + 5);
    bench.counter.table(1).count(uuid(1), kNow + 3);
    bench.counter.table(1).count(uuid(2), kNow);
    CHECK_FALSE(value_of(bench.catalog->find_views(uuid(1))));
    bench.counter.flush(*bench.catalog);
    const auto views = value_of(bench.catalog->find_views(uuid(1)));
    REQUIRE(views);
    CHECK(views->score == Approx(3).epsilon(0.001));
    CHECK(views->last_s == kNow + 5);
    CHECK(value_of(bench.catalog->find_views(uuid(2)))->score == Approx(1));
    CHECK(bench.counter.counted() == 4);
    // What was written is not written again.
    bench.counter.flush(*bench.catalog);
    CHECK(value_of(bench.catalog->find_views(uuid(2)))->score == Approx(1));
    bench.counter.table(1).count(uuid(2), kNow);
    bench.counter.flush(*bench.catalog);
    CHECK(value_of(bench.catalog->find_views(uuid(2)))->score == Approx(2));
}

TEST_CASE("views: what finds no room is dropped and counted, known images still count",
          "[serve][views]") {
    Bench bench;
    ViewTable& table = bench.counter.table(0);
    for (unsigned i = 0; i < ViewTable::kMostUsed; ++i)
        table.count(uuid(i), kNow);
    CHECK(bench.counter.dropped() == 0);
    table.count(uuid(ViewTable::kMostUsed), kNow);
    table.count(uuid(7), kNow);
    CHECK(bench.counter.dropped() == 1);
    CHECK(bench.counter.counted() == ViewTable::kMostUsed + 1);
    std::vector<storage::ViewUpdate> taken;
    table.take(taken);
    CHECK(taken.size() == ViewTable::kMostUsed);
    // There is room again.
    table.count(uuid(ViewTable::kMostUsed), kNow);
    CHECK(bench.counter.dropped() == 1);
    taken.clear();
    table.take(taken);
    CHECK(taken.size() == 1);
}

TEST_CASE("views: the thread writes what is left at the end", "[serve][views]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    add_viewed_images(*catalog);
    {
        ViewCounter counter(conf::TieringSettings{}, 1);
        counter.start(*catalog);
        counter.table(0).count(uuid(1), kNow);
    }
    CHECK(value_of(catalog->find_views(uuid(1)))->score == Approx(1));
}

TEST_CASE("views: one loop counts while they are taken, and none is lost", "[serve][views]") {
    Bench bench;
    constexpr unsigned kViews = 20'000;
    std::thread loop([&] {
        for (unsigned i = 0; i < kViews; ++i)
            bench.counter.table(0).count(uuid(i % 100), kNow);
    });
    std::vector<storage::ViewUpdate> taken;
    std::uint64_t sum = 0;
    while (bench.counter.counted() < kViews)
        bench.counter.table(0).take(taken);
    loop.join();
    bench.counter.table(0).take(taken);
    for (const auto& update : taken)
        sum += update.views;
    CHECK(sum == kViews);
}
