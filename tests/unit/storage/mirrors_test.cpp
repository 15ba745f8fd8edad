// Copies that a pool has as a mirror of another one, between pools in memory.
#include "storage/mirrors.h"

#include "storage/backups.h"
#include "storage/job_keys.h"
#include "tests/support/move_bench.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::FakeDriver;
using test::kind_of;
using test::kOriginal;
using test::kUuid;
using test::kVariant;
using test::value_of;

namespace {

// Pool "hot" is mirrored by "cold", both ways where that is said; there is a third one.
struct Bench : test::MoveBench {
    explicit Bench(bool both_ways = false) {
        std::vector<KnownPool> all = drivers.pools();
        all[0].settings.mirror = "cold";
        if (both_ways) all[1].settings.mirror = "hot";
        all.push_back(pool("third", conf::PoolSettings::Type::s3));
        drivers.use_pools(all);
    }

    // Does the job that copies this object.
    std::string copy(const std::string& key, const std::string& to = "cold") {
        JobRun run = take_copy(to);
        CHECK(run.job().dedup_key == copy_key(ids[to], key));
        const JobEnd end = backups.copy(run);
        if (end.kind == JobEnd::Kind::done)
            value_of(catalog->finish_job(run.job().id, "me", now_s));
        return kind_of(end);
    }
    JobRun take_copy(const std::string& to = "cold") {
        return take("backup " + std::to_string(ids[to]));
    }
    bool has_copy(const std::string& key, const std::string& where = "cold") {
        return value_of(catalog->find_backup(ids[where], key)).has_value();
    }
    std::size_t open_copies() {
        std::size_t open = 0;
        for (const OpenLane& lane : value_of(catalog->open_lanes()))
            if (lane.lane.starts_with("backup ")) ++open;
        return open;
    }

    Backups backups{*catalog, drivers, 0};
};

}  // namespace

TEST_CASE("mirrors: which pool has copies of which", "[storage][mirrors]") {
    Bench bench;
    CHECK(bench.drivers.mirror_of(bench.ids["hot"]) == bench.ids["cold"]);
    CHECK(bench.drivers.mirror_of(bench.ids["cold"]) == 0);
    CHECK(bench.drivers.is_mirror(bench.ids["cold"]));
    CHECK_FALSE(bench.drivers.is_mirror(bench.ids["hot"]));
    std::vector<KnownPool> all = bench.drivers.pools();
    all[1].settings.is_active = false;
    // Nothing is copied there, but what is there is known to be a copy.
    CHECK(mirrors_among(all).size() == 1);
    CHECK_FALSE(mirror_follower(all));
    all[0].settings.mirror = "nobody";
    CHECK(mirrors_among(all).empty());
}

TEST_CASE("mirrors: each row that comes, or changes, is followed by a copy", "[storage][mirrors]") {
    Bench bench;
    const ObjectRecord row = bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    CHECK(bench.store("cold").content(kOriginal) == "original");
    CHECK(bench.has_copy(kOriginal));
    test::check_accounts(*bench.catalog);
    // The same again changes nothing of it; another content does.
    value_of(bench.catalog->adopt({&row, 1}));
    CHECK(bench.open_copies() == 0);
    bench.place(kOriginal, "another");
    CHECK(bench.copy(kOriginal) == "done");
    CHECK(bench.store("cold").content(kOriginal) == "another");
    const ObjectRecord variant = test::make_object(kVariant, bench.ids["hot"], 7);
    bench.store("hot").place(kVariant, "variant", 1'700'000'000);
    value_of(bench.catalog->put_variant(variant, kOriginal, false));
    CHECK(bench.copy(kVariant) == "done");
    bench.place("uploads/plain.jpg", "plain", "third");
    CHECK(bench.open_copies() == 0);
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mirrors: where an object is at home there is no record of a copy",
          "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    bench.place(kOriginal, "original", "cold");
    CHECK_FALSE(bench.has_copy(kOriginal));
    BackupRecord copy;
    copy.pool = bench.ids["cold"];
    copy.key = kOriginal;
    copy.original = kOriginal;
    value_of(bench.catalog->put_backup(copy));
    CHECK_FALSE(bench.has_copy(kOriginal));
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mirrors: a move to the mirror sends nothing, and may leave a mirror behind",
          "[storage][mirrors]") {
    const bool both_ways = GENERATE(false, true);
    Bench bench(both_ways);
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    for (const auto* name : {"hot", "cold"}) {
        bench.store(name).set_fault([](FakeDriver::Call call, auto) -> std::optional<Error> {
            if (call == FakeDriver::Call::put) return Error{ErrorKind::denied, "nothing is sent"};
            return std::nullopt;
        });
    }
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    CHECK(bench.in("cold", kOriginal));
    CHECK_FALSE(bench.has_copy(kOriginal));
    CHECK(bench.has_copy(kOriginal, "hot") == both_ways);
    CHECK(bench.open_copies() == 0);
    const auto clean = value_of(bench.catalog->find_open_job(clean_key(bench.ids["hot"], kUuid)));
    CHECK(clean.has_value() != both_ways);
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mirrors: a clean leaves a copy that is wanted by now", "[storage][mirrors]") {
    Bench bench(true);
    bench.place(kOriginal, "original");
    const ObjectRecord row = *value_of(bench.catalog->find(kOriginal));
    CHECK(bench.copy(kOriginal) == "done");
    value_of(bench.catalog->queue_job(
        *value_of(clean_mirror_job(*bench.catalog, bench.drivers, bench.ids["cold"], {&row, 1}, 0)),
        bench.now_s));
    JobRun clean = bench.take("clean " + std::to_string(bench.ids["cold"]));
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("cold").content(kOriginal) == "original");
    CHECK(bench.has_copy(kOriginal));
}

TEST_CASE("mirrors: a move elsewhere takes the copies away, after the object is seen at home",
          "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    JobRun run = bench.begin("third");
    CHECK(kind_of(bench.move(run)) == "done");
    const std::string lane = "clean " + std::to_string(bench.ids["cold"]);
    JobRun early = bench.take(lane);
    bench.store("third").remove(kOriginal);
    CHECK(kind_of(bench.clean(early)) == "corrupt");
    CHECK(bench.has_copy(kOriginal));
    bench.store("third").place(kOriginal, "original", 1'700'000'000);
    CHECK(kind_of(bench.clean(early)) == "done");
    CHECK_FALSE(bench.has_copy(kOriginal));
    CHECK_FALSE(bench.store("cold").content(kOriginal));
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mirrors: a move and a copy of the same object wait for one another",
          "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun copying = bench.take_copy();
    JobRun moving = bench.begin("cold");
    CHECK(kind_of(bench.move(moving)) == "put off");
    CHECK(kind_of(bench.backups.copy(copying)) == "put off");
    value_of(bench.catalog->put_off_job(copying.job().id, "me", bench.now_s + 5, true));
    CHECK(kind_of(bench.move(moving)) == "done");
    JobRun again = bench.take_copy();
    CHECK(kind_of(bench.backups.copy(again)) == "done");
    CHECK_FALSE(bench.has_copy(kOriginal));
    CHECK(bench.in("cold", kOriginal));
}

TEST_CASE("mirrors: what is no longer mirrored is pruned, the last copy of an object is not",
          "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    bench.place("uploads/plain.jpg", "plain");
    CHECK(bench.copy("uploads/plain.jpg") == "done");
    const PoolId cold = bench.ids["cold"];
    CHECK(value_of(prune_mirror(*bench.catalog, bench.drivers, cold, "", 1)).stale == 0);
    std::vector<KnownPool> all = bench.drivers.pools();
    all[0].settings.mirror = "";
    bench.drivers.use_pools(all);
    value_of(bench.catalog->remove_object("uploads/plain.jpg", bench.ids["hot"]));
    const auto pruned =
        value_of(prune_mirror(*bench.catalog, bench.drivers, cold, "batch", bench.now_s));
    CHECK(pruned.stale == 1);
    CHECK(pruned.lone == 1);
    CHECK(pruned.kept == 0);
    JobRun clean = bench.take("clean " + std::to_string(cold));
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK_FALSE(bench.has_copy(kOriginal));
    CHECK(bench.has_copy("uploads/plain.jpg"));
    CHECK(bench.store("cold").content("uploads/plain.jpg") == "plain");
}

TEST_CASE("mirrors: what is replaced while it is copied is copied again", "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun run = bench.take_copy();
    // After the content was read, and before the copy is noted.
    bench.store("cold").set_fault([&](FakeDriver::Call call, auto) -> std::optional<Error> {
        if (call == FakeDriver::Call::put) bench.place(kOriginal, "another");
        return std::nullopt;
    });
    const JobEnd first = bench.backups.copy(run);
    bench.store("cold").set_fault({});
    if (kind_of(first) != "put off") CHECK(kind_of(first) == "corrupt");  // its source changed
    CHECK(kind_of(bench.backups.copy(run)) == "done");
    CHECK(bench.store("cold").content(kOriginal) == "another");
    CHECK(value_of(bench.catalog->find_backup(bench.ids["cold"], kOriginal))->sha256 ==
          conf::sha256("another"));
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mirrors: a copy is of the row only where both say the same digest",
          "[storage][mirrors]") {
    Bench bench;
    ObjectRecord row = bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    // Somebody wrote another content of the same length, and a scan saw that.
    bench.store("hot").place(kOriginal, "ORIGINAL", 1'700'000'500);
    row.sha256.reset();
    row.modified_s = 1'700'000'500;
    value_of(bench.catalog->adopt({&row, 1}));
    CHECK(bench.copy(kOriginal) == "done");
    CHECK(bench.store("cold").content(kOriginal) == "ORIGINAL");
    CHECK(value_of(bench.catalog->find(kOriginal))->sha256 == conf::sha256("ORIGINAL"));
}

TEST_CASE("mirrors: a copy whose object is gone goes too", "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    bench.place(kOriginal, "another");
    JobRun run = bench.take_copy();
    value_of(bench.catalog->remove_object(kOriginal, bench.ids["hot"]));
    CHECK(kind_of(bench.backups.copy(run)) == "done");
    CHECK_FALSE(bench.has_copy(kOriginal));
    CHECK_FALSE(bench.store("cold").content(kOriginal));
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mirrors: copies of a pool that is gone are forgotten, and of one that is ill are not",
          "[storage][mirrors]") {
    Bench bench;
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    std::vector<KnownPool> all = bench.drivers.pools();
    all[1].problem = "its secret cannot be read";
    bench.drivers.use_pools(all);
    CHECK_FALSE(remove_mirror_copies(*bench.catalog, bench.drivers, kOriginal));
    CHECK(bench.has_copy(kOriginal));
    all.erase(all.begin() + 1);
    bench.drivers.use_pools(all);
    value_of(remove_mirror_copies(*bench.catalog, bench.drivers, kOriginal));
    CHECK_FALSE(bench.has_copy(kOriginal));
}

TEST_CASE("mirrors: a full pool takes no copies", "[storage][mirrors]") {
    Bench bench;
    std::vector<KnownPool> all = bench.drivers.pools();
    all[1].settings.max_size_bytes = 9;
    bench.drivers.use_pools(all);
    bench.place(kOriginal, "original");
    CHECK(bench.copy(kOriginal) == "done");
    bench.place("uploads/plain.jpg", "plain");
    CHECK(bench.copy("uploads/plain.jpg") == "capped");
    CHECK_FALSE(bench.has_copy("uploads/plain.jpg"));
}
