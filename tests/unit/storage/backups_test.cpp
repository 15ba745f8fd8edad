// Originals that are restored from their backups, between pools in memory.
#include "storage/backups.h"

#include "storage/image_hold.h"
#include "storage/job_keys.h"
#include "tests/support/move_bench.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::FakeDriver;
using test::kind_of;
using test::kOriginal;
using test::kUuid;
using test::value_of;

namespace {

const std::string kBackup = "images/2026/02/25/" + kUuid + ".jpg";

// The original is in pool "hot", and has a backup in "safe".
struct Bench : test::MoveBench {
    Bench() {
        KnownPool safe = pool("safe", conf::PoolSettings::Type::s3);
        safe.settings.is_backup_target = true;
        auto pools = drivers.pools();
        pools.push_back(safe);
        drivers.use_pools(pools);
        place(kOriginal, "original");
        store("safe").place(kBackup, "original");
        BackupRecord backup;
        backup.pool = safe.id;
        backup.key = kBackup;
        backup.original = kOriginal;
        backup.size = 8;
        backup.sha256 = conf::sha256("original");
        value_of(catalog->put_backup(backup));
    }

    Result<PoolId> restore() {
        return restore_original(*catalog, drivers, kOriginal, std::nullopt, now_s);
    }
    // Whenever an object is put into pool "hot".
    void on_put(const std::function<void()>& work) {
        store("hot").set_fault([work](FakeDriver::Call call, std::string_view) {
            if (call == FakeDriver::Call::put) work();
            return std::optional<Error>();
        });
    }
};

}  // namespace

TEST_CASE("backups: a move waits for what is restored where it comes from", "[storage][backups]") {
    Bench bench;
    bench.store("hot").remove(kOriginal).value();
    bench.on_put([&] {
        JobRun run = bench.begin("cold");
        CHECK(kind_of(bench.move(run)) == "put off");
        value_of(bench.catalog->put_off_job(run.job().id, "me", bench.now_s, false));
    });
    CHECK(value_of(bench.restore()) == bench.ids["safe"]);
    bench.store("hot").set_fault({});
    JobRun run = bench.take("move");
    CHECK(kind_of(bench.move(run)) == "done");
    CHECK(bench.in("cold", kOriginal));
    // Nobody holds what it left behind.
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("hot").size() == 0);
    // While a move is open nothing is restored.
    bench.begin("hot");
    const auto refused = bench.restore();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::busy);
    test::check_accounts(*bench.catalog);
}

TEST_CASE("backups: what came to be somewhere else is not restored where it was",
          "[storage][backups]") {
    Bench bench;
    const auto row = value_of(bench.catalog->find(kOriginal));
    bench.on_put([&] {
        bench.store("cold").place(kOriginal, "original");
        value_of(bench.catalog->relocate({.objects = {*row}, .to = bench.ids["cold"]}));
    });
    const auto refused = bench.restore();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::conflict);
    CHECK(bench.in("cold", kOriginal));
    CHECK(bench.store("hot").size() == 0);
    test::check_accounts(*bench.catalog);
}

TEST_CASE("backups: a clean that comes while an image is held waits for that",
          "[storage][backups]") {
    Bench bench;
    const auto row = *value_of(bench.catalog->find(kOriginal));
    const KnownPool hot = bench.drivers.find(bench.ids["hot"])->known;
    const NewJob clean = clean_after_move(
        {.image = parse_uuid(kUuid), .key = {}, .to = bench.ids["cold"]}, {&row, 1}, bench.now_s);
    const KnownPool cold = bench.drivers.find(bench.ids["cold"])->known;
    {
        const auto hold = value_of(ImageHold::take(*bench.catalog, cold, row, 0));
        REQUIRE(hold);
        const JobId id = value_of(bench.catalog->queue_job(clean, bench.now_s));
        JobRun run = bench.take("clean 2");
        CHECK(run.job().id == id);
        CHECK(kind_of(bench.clean(run)) == "put off");
        value_of(bench.catalog->put_off_job(id, "me", bench.now_s, false));
        CHECK(value_of(ImageHold::take(*bench.catalog, hot, row, 0)));  // another pool
    }
    CHECK_FALSE(value_of(ImageHold::take(*bench.catalog, cold, row, 0)));
    JobRun run = bench.take("clean 2");
    CHECK(kind_of(bench.clean(run)) == "done");
}
