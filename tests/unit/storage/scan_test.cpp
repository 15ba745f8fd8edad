#include "storage/scan.h"

#include "tests/support/catalog_backends.h"
#include "tests/support/fake_driver.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::check_accounts;
using test::FakeDriver;
using test::make_object;
using test::make_pool;
using test::value_of;

namespace {

// A pool of a fake store and its catalog.
struct World {
    World() : pool(make_pool(*catalog, "cold")) {}
    ScanResult scan(ScanOptions options = {}) {
        options.now_s = 77;
        return value_of(scan_pool(driver, *catalog, pool, options));
    }
    // Objects beyond a batch, so that there is something between its commits.
    void fill(int count) {
        for (int i = 0; i < count; ++i)
            driver.place(key(i), "content");
    }
    static std::string key(int i) {
        std::string digits = std::to_string(i);
        return "uploads/" + std::string(6 - digits.size(), '0') + digits + ".jpg";
    }

    test::SqliteBackend backend;
    std::unique_ptr<Catalog> catalog = backend.open();
    FakeDriver driver{"cold"};
    PoolId pool;
};

}  // namespace

TEST_CASE("scan: what a pool lists is in the catalog afterwards", "[storage][catalog][scan]") {
    World world;
    world.fill(2500);
    const ScanResult first = world.scan();
    CHECK(first.complete);
    CHECK_FALSE(first.resumed);
    CHECK(first.counts.seen == 2500);
    CHECK(first.counts.added == 2500);
    CHECK(first.counts.bytes == 2500 * 7);
    CHECK(value_of(world.catalog->find(World::key(2499)))->added_s == 77);
    const ScanResult second = world.scan();
    CHECK(second.counts.unchanged == 2500);
    CHECK(second.counts.added == 0);
    CHECK(second.counts.vanished == 0);
    CHECK_FALSE(value_of(world.catalog->find_scan(world.pool)));
    check_accounts(*world.catalog);
}

TEST_CASE("scan: an empty pool is scanned too", "[storage][catalog][scan]") {
    World world;
    CHECK(world.scan().complete);
    value_of(world.catalog->put_object(make_object("uploads/a.jpg", world.pool)));
    CHECK(world.scan().counts.vanished == 1);
}

TEST_CASE("scan: new, changed, foreign, vanished and unservable objects are told apart",
          "[storage][catalog][scan]") {
    World world;
    const PoolId other = make_pool(*world.catalog, "hot");
    for (const char* key : {"uploads/b.jpg", "uploads/c.jpg", "uploads/e.jpg"})
        world.driver.place(key, "content");
    world.scan();
    value_of(world.catalog->put_object(make_object("uploads/d.jpg", other)));
    value_of(world.catalog->put_object(make_object("uploads/a.jpg", world.pool)));
    value_of(world.catalog->put_object(make_object("uploads/z.jpg", world.pool)));
    world.driver.place("uploads/c.jpg", "longer content");
    world.driver.place("uploads/d.jpg", "another home");
    world.driver.place("uploads/new%41.jpg", "new");
    world.driver.place("uploads/.hidden", "hidden");
    world.driver.place("uploads/x.tmp", "temporary");
    value_of(world.driver.remove("uploads/e.jpg"));

    ScanOptions dry;
    dry.dry_run = true;
    const ScanCounts expected{.seen = 6,
                              .bytes = 7 + 14 + 12 + 3 + 6 + 9,
                              .added = 1,
                              .changed = 1,
                              .unchanged = 1,
                              .foreign = 1,
                              .unservable = 2,
                              .vanished = 3};
    CHECK(world.scan(dry).counts == expected);
    CHECK_FALSE(value_of(world.catalog->find("uploads/new%41.jpg")));
    CHECK(world.scan().counts == expected);
    CHECK(value_of(world.catalog->find("uploads/new%41.jpg")));
    CHECK(value_of(world.catalog->find("uploads/c.jpg"))->size == 14);
    CHECK(value_of(world.catalog->find("uploads/d.jpg"))->pool == other);
    CHECK(value_of(world.catalog->find("uploads/e.jpg")));  // told, not removed
    CHECK_FALSE(value_of(world.catalog->find("uploads/.hidden")));
    check_accounts(*world.catalog);
}

TEST_CASE("scan: rows between others' pages are compared exactly", "[storage][catalog][scan]") {
    World world;
    world.fill(6001);
    world.scan();
    for (int i = 0; i < 6001; i += 3)
        value_of(world.driver.remove(World::key(i)));
    for (int i = 7000; i < 9500; ++i)
        world.driver.place(World::key(i), "new");
    const ScanCounts counts = world.scan().counts;
    CHECK(counts.vanished == 2001);
    CHECK(counts.added == 2500);
    CHECK(counts.unchanged == 4000);
}

TEST_CASE("scan: one that was interrupted goes on where it stopped, with its counts",
          "[storage][catalog][scan]") {
    World world;
    world.fill(12'500);
    int lists = 0;
    world.driver.set_fault([&](FakeDriver::Call, std::string_view) -> std::optional<Error> {
        if (++lists == 8) return Error{ErrorKind::io, "the store is gone"};
        return std::nullopt;
    });
    REQUIRE_FALSE(scan_pool(world.driver, *world.catalog, world.pool, {}));
    REQUIRE(value_of(world.catalog->find_scan(world.pool)));
    check_accounts(*world.catalog);
    lists = 100;
    ScanOptions stop;
    stop.report = [](const ScanCounts&) { return false; };
    const ScanResult second = world.scan(stop);
    CHECK(second.resumed);
    CHECK_FALSE(second.complete);
    CHECK(second.counts.seen == 10'000);
    const ScanResult third = world.scan();
    CHECK(third.resumed);
    CHECK(third.complete);
    CHECK(third.counts.seen == 12'500);
    CHECK(third.counts.added == 12'500);
    CHECK(lists == 100 + 5 + 3);
    check_accounts(*world.catalog);
}

TEST_CASE("scan: a place that the store no longer knows begins it again",
          "[storage][catalog][scan]") {
    World world;
    world.fill(10);
    const ScanRecord place{.pool = world.pool,
                           .next = "expired",
                           .last_key = "uploads/zzz",
                           .counts = "5 5 5",
                           .started_s = 1};
    value_of(world.catalog->adopt({}, [&](auto) { return place; }));
    int lists = 0;
    world.driver.set_fault([&](FakeDriver::Call, std::string_view) -> std::optional<Error> {
        if (++lists == 1) return Error{ErrorKind::invalid, "what is this?"};
        return std::nullopt;
    });
    const ScanResult result = world.scan();
    CHECK(result.complete);
    CHECK_FALSE(result.resumed);
    CHECK(result.counts.added == 10);
}

TEST_CASE("scan: what a look at an object finds is adopted", "[storage][catalog][scan]") {
    World world;
    world.fill(3);
    ScanOptions options;
    std::vector<std::string> with_row;
    options.describe = [&](ObjectRecord& object, const ObjectRecord* row) {
        if (row != nullptr) with_row.push_back(row->key);
        object.content_type = "image/jpeg";
        if (object.key == World::key(1)) return Described::unknown_type;
        return object.key == World::key(2) ? Described::failed : Described::known;
    };
    const ScanCounts counts = world.scan(options).counts;
    CHECK(counts.added == 3);
    CHECK(counts.unknown_type == 1);
    CHECK(counts.failed == 1);
    CHECK(with_row.empty());
    CHECK(value_of(world.catalog->find(World::key(0)))->content_type == "image/jpeg");
    world.scan(options);
    CHECK(with_row.size() == 3);
}
