// Two pools that are one place under two names: nothing is copied, and nothing is removed.
#include "storage/backups.h"
#include "storage/driver_set.h"
#include "storage/local_driver.h"
#include "storage/mover.h"
#include "storage/reconcile_repair.h"
#include "tests/support/move_bench.h"

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::FakeDriver;
using test::kind_of;
using test::kOriginal;
using test::kUuid;
using test::make_object;
using test::value_of;

namespace {

using Type = conf::PoolSettings::Type;

// Two pools, on disks or in buckets, the image's original in the first.
struct PlaceBench {
    explicit PlaceBench(Type type, bool is_one = true) {
        folder.make("one");
        folder.make("two");
        folder.link("other", folder.path(is_one ? "one" : "two"));
        for (const char* name : {"one", "other"}) {
            KnownPool pool;
            pool.settings.name = name;
            pool.settings.storage_type = type;
            if (type == Type::local) pool.settings.base_path = folder.path(name);
            pool.id = test::make_pool(*catalog, name);
            pools.push_back(pool);
        }
        drivers.use_pools(pools);
        FakeDriver& second = is_one ? first : other;
        make = [this, &second](const conf::PoolSettings& settings) -> std::unique_ptr<Driver> {
            if (settings.storage_type == Type::local)
                return std::make_unique<LocalDriver>(settings, "uploads/");
            return std::make_unique<test::SharedDriver>(settings.name == "one" ? first : second);
        };
        put(pool(0), kOriginal, "original");
        ObjectRecord row = make_object(kOriginal, pools[0].id, 8);
        row.sha256 = conf::sha256("original");
        value_of(catalog->put_object(row));
    }

    DriverSet::Pool pool(std::size_t number) { return value_of(drivers.find(pools[number].id)); }
    static void put(const DriverSet::Pool& into, const std::string& key, const std::string& text) {
        test::TextSource source(text);
        value_of(into.driver->put(key, source, {.size = text.size()}));
    }
    bool has(std::size_t number) { return value_of(exists(*pool(number).driver, kOriginal)); }
    JobRun take(const NewJob& job) {
        value_of(catalog->queue_job(job, 1));
        const Catalog::LaneWant want{.lane = job.lane};
        auto jobs = value_of(catalog->take_jobs({&want, 1}, "me", std::time(nullptr) + 60, 1000));
        REQUIRE(jobs.size() == 1);
        return {jobs.front(), std::time(nullptr) + 1000};
    }
    JobRun move() {
        return take(move_job({.image = parse_uuid(kUuid), .key = {}, .to = pools[1].id},
                             pools[0].id, 100, "b"));
    }
    // As one whose pools were two when it was queued, and which has been proved since.
    JobRun clean() {
        const auto rows = value_of(catalog->objects_of(*parse_uuid(kUuid)));
        std::vector<ObjectRecord> known = rows;
        for (ObjectRecord& row : known)
            row.modified_s = value_of(pool(0).driver->head(kOriginal)).modified_s;
        return take(
            clean_after_move({.image = parse_uuid(kUuid), .key = {}, .to = pools[1].id}, known, 1));
    }

    test::Folder folder;
    test::SqliteBackend backend;
    std::unique_ptr<Catalog> catalog = backend.open();
    FakeDriver first{"one"};
    FakeDriver other{"other"};
    std::vector<KnownPool> pools;
    DriverSet::Make make;
    DriverSet drivers{*catalog, "uploads/",
                      [this](const conf::PoolSettings& settings) { return make(settings); }};
    Mover mover{*catalog, drivers, {.grace_s = 0}};
};

}  // namespace

TEST_CASE("same place: a move sees that its target is its source", "[storage][mover]") {
    for (const Type type : {Type::local, Type::s3}) {
        CAPTURE(static_cast<int>(type));
        PlaceBench bench(type);
        JobRun run = bench.move();
        const JobEnd end = bench.mover.move(run);
        REQUIRE(kind_of(end) == "misconfigured");
        CHECK_THAT(end.error->text, Catch::Contains("one place under two names"));
        CHECK(bench.has(0));
        CHECK(value_of(bench.catalog->find(kOriginal))->pool == bench.pools[0].id);
        CHECK(value_of(end_job(*bench.catalog, run.job(), end)));
        CHECK(value_of(bench.catalog->list_jobs({.type = "clean"}, 10)).empty());
    }
}

TEST_CASE("same place: what is cleaned up is never the object at home", "[storage][mover]") {
    for (const Type type : {Type::local, Type::s3}) {
        CAPTURE(static_cast<int>(type));
        PlaceBench bench(type);
        JobRun run = bench.clean();
        CHECK(kind_of(bench.mover.clean(run)) == "misconfigured");
        CHECK(bench.has(0));
        PlaceBench two(type, false);
        if (type == Type::local) PlaceBench::put(two.pool(1), kOriginal, "original");
        two.other.place(kOriginal, "original", 5);
        JobRun other = two.clean();
        if (type == Type::local) {  // else there is no stamp to compare
            std::filesystem::last_write_time(
                two.folder.path("two/original/2026/02/25/" + kUuid + ".jpg"),
                std::filesystem::last_write_time(
                    two.folder.path("one/original/2026/02/25/" + kUuid + ".jpg")));
        }
        CHECK(kind_of(two.mover.clean(other)) == "done");
        CHECK(two.has(0));
        CHECK_FALSE(two.has(1));
    }
}

TEST_CASE("same place: a mirror and a backup that are where their source is", "[storage][backup]") {
    for (const bool is_backup : {false, true}) {
        CAPTURE(is_backup);
        PlaceBench bench(Type::s3);
        bench.pools[1].settings.is_backup_target = is_backup;
        if (!is_backup) bench.pools[0].settings.mirror = "other";
        bench.drivers.use_pools(bench.pools);
        Backups backups(*bench.catalog, bench.drivers, 0, {});
        JobRun run = bench.take(backup_job(kOriginal, bench.pools[1].id, ""));
        CHECK(kind_of(backups.copy(run)) == "misconfigured");
        CHECK(value_of(bench.catalog->backups_of(kOriginal)).empty());
        CHECK(bench.first.size() == 1);
    }
}

TEST_CASE("same place: an image leaves a store that does not answer, where its copies are",
          "[storage][mover]") {
    PlaceBench bench(Type::s3, false);
    bench.pools[0].settings.mirror = "other";
    bench.drivers.use_pools(bench.pools);
    PlaceBench::put(bench.pool(1), kOriginal, "original");
    bench.first.set_fault([](FakeDriver::Call, std::string_view) {
        return std::optional<Error>({ErrorKind::io, "told to"});
    });
    JobRun run = bench.move();
    CHECK(kind_of(bench.mover.move(run)) == "relocates");
}

TEST_CASE("same place: a reconcile sets nothing aside", "[storage][reconcile]") {
    for (const Type type : {Type::local, Type::s3}) {
        CAPTURE(static_cast<int>(type));
        PlaceBench bench(type);
        Repairer repairer(*bench.catalog, bench.drivers, bench.pool(1),
                          {.now_s = std::time(nullptr)});
        Verdict verdict{.finding = FindingKind::elsewhere, .key = kOriginal};
        verdict.row = value_of(bench.catalog->find(kOriginal));
        verdict.object = value_of(bench.pool(1).driver->head(kOriginal));
        const RepairEnd end = value_of(repairer.repair(verdict));
        CHECK_FALSE(end.is_repaired);
        CHECK_THAT(end.what, Catch::Contains("one place under two names"));
        CHECK(bench.has(0));
    }
}

TEST_CASE("same place: two buckets are asked once", "[storage]") {
    PlaceBench bench(Type::s3, false);
    int calls = 0;
    const auto count = [&](FakeDriver::Call, std::string_view) {
        ++calls;
        return std::optional<Error>();
    };
    bench.first.set_fault(count);
    bench.other.set_fault(count);
    for (int i = 0; i < 3; ++i) {
        value_of(bench.drivers.require_apart(bench.pool(0), bench.pool(1), kOriginal));
        value_of(bench.drivers.require_apart(bench.pool(1), bench.pool(0), kOriginal));
    }
    CHECK(calls == 2);
    // What neither has proves nothing.
    PlaceBench empty(Type::s3);
    empty.first.remove(kOriginal).value();
    value_of(empty.drivers.require_apart(empty.pool(0), empty.pool(1), kOriginal));
    empty.first.place(kOriginal, "original");
    CHECK_FALSE(empty.drivers.require_apart(empty.pool(0), empty.pool(1), kOriginal));
    // Nor does what was found of another place that the pool had.
    bench.pools[1].settings.bucket = "another";
    bench.drivers.use_pools(bench.pools);
    value_of(bench.drivers.require_apart(bench.pool(0), bench.pool(1), kOriginal));
    CHECK(calls == 4);
}

TEST_CASE("same place: which two descriptions are of one object", "[storage]") {
    const auto file = [](std::uint64_t device, std::uint64_t inode, std::int64_t changed_ns) {
        return ObjectInfo{.size = 5,
                          .modified_s = 1,
                          .file = FileIdentity{.device = device,
                                               .inode = inode,
                                               .size = 5,
                                               .modified_ns = 1'000'000'000,
                                               .changed_ns = changed_ns}};
    };
    CHECK(is_same_object(file(1, 7, 3), file(1, 7, 4)));
    CHECK_FALSE(is_same_object(file(1, 7, 3), file(1, 8, 3)));
    CHECK(is_same_object(file(1, 7, 3), file(2, 9, 3)));  // one disk, mounted twice
    CHECK_FALSE(is_same_object(file(1, 7, 3), file(2, 7, 4)));
    const auto object = [](const std::string& version, std::int64_t modified_s) {
        return ObjectInfo{
            .size = 5, .modified_s = modified_s, .etag = "abc", .version_id = version};
    };
    CHECK(is_same_object(object("v1", 1), object("v1", 1)));
    CHECK_FALSE(is_same_object(object("v1", 1), object("v2", 1)));
    CHECK_FALSE(is_same_object(object("null", 1), object("null", 2)));
    CHECK(is_same_object(object("", 1), object("", 1)));
    CHECK_FALSE(is_same_object(object("", 1), object("v1", 1)));
    CHECK_FALSE(is_same_object(object("", 1), file(1, 7, 3)));
    CHECK_FALSE(is_same_object(ObjectInfo{}, ObjectInfo{}));
}
