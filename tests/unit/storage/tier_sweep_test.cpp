// Sweeps over a catalog: what they queue, what they leave room for, and when they stop.
#include "storage/tier_sweep.h"

#include "storage/job_owner.h"
#include "storage/mover.h"
#include "tests/support/catalog_backends.h"
#include "tests/support/fake_driver.h"
#include "tests/support/shared_driver.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_object;
using test::value_of;
using State = JobRecord::State;

namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kNow = 20'000 * kDay;

Uuid uuid(unsigned number) {
    return parse_uuid(fmt::format("0b1f6c2e-9a7d-4c55-8a3e-{:012x}", number)).value();
}

struct Bench {
    Bench() {
        add_pool("hot", conf::PoolSettings::Type::local, Tier::hot);
        add_pool("cold", conf::PoolSettings::Type::s3, Tier::cold);
    }

    void add_pool(const std::string& name, conf::PoolSettings::Type type, Tier tier) {
        KnownPool known;
        known.settings.name = name;
        known.settings.storage_type = type;
        known.settings.storage_tier = tier;
        known.id = test::make_pool(*catalog, name);
        pools.push_back(known);
    }
    PoolId id(std::size_t pool) const { return pools[pool].id; }

    // An original and a variant, 100 bytes each; viewed that many days ago, or never.
    void add_image(unsigned number, int days_old, int viewed_days = -1, std::size_t pool = 0) {
        const std::string name = to_text(uuid(number));
        for (const std::string& key : {"uploads/original/2026/02/25/" + name + ".jpg",
                                       "uploads/variants/2026/02/25/" + name + "_small.webp"}) {
            ObjectRecord row = make_object(key, id(pool));
            row.modified_s = row.added_s = kNow - days_old * kDay;
            value_of(catalog->put_object(row));
        }
        if (viewed_days < 0) return;
        const ViewUpdate update{
            .image = uuid(number), .views = 1, .last_s = kNow - viewed_days * kDay};
        value_of(catalog->add_views({&update, 1}, kDay));
    }

    TierContext context() { return {*catalog, pools, settings, drivers}; }
    SweepPlan plan() { return value_of(plan_sweep(context(), kNow)); }
    Sweep run(std::int64_t now_s = kNow) { return value_of(run_sweep(context(), "me", now_s)); }

    std::vector<JobRecord> jobs(const std::string& batch) {
        return value_of(catalog->list_jobs({.type = "move", .batch = batch}, 10'000));
    }
    // Takes so many jobs; the first of them fail, the others end well.
    void work_off(std::size_t count, std::size_t failing, std::int64_t now_s = kNow) {
        const Catalog::LaneWant want{.lane = fmt::format("move {}>{}", id(0), id(1)),
                                     .jobs = count};
        const auto taken = value_of(catalog->take_jobs({&want, 1}, "worker", now_s, 100));
        REQUIRE(taken.size() == count);
        for (std::size_t i = 0; i < taken.size(); ++i) {
            if (i < failing) {
                value_of(catalog->fail_job(
                    taken[i].id, "worker",
                    {.error_class = "denied", .text = "no", .retry_at_s = {}, .was_begun = false},
                    now_s));
            } else {
                value_of(catalog->finish_job(taken[i].id, "worker", now_s));
            }
        }
    }
    // Does the moves of a sweep.
    void move_all(const std::string& batch) {
        for (const JobRecord& job : jobs(batch)) {
            const MoveTarget target = target_of(job).value();
            value_of(catalog->relocate({.objects = value_of(catalog->objects_of(*target.image)),
                                        .to = target.to,
                                        .image = target.image,
                                        .now_s = kNow}));
        }
        work_off(jobs(batch).size(), 0, kNow + 10);
    }
    std::vector<std::string> notes() { return plan().plan.notes; }
    std::uint64_t count(const std::string& batch, State state) {
        const auto all = jobs(batch);
        return static_cast<std::uint64_t>(std::ranges::count(all, state, &JobRecord::state));
    }

    test::SqliteBackend backend;
    std::unique_ptr<Catalog> catalog = backend.open();
    std::vector<KnownPool> pools;
    conf::TieringSettings settings;
    DriverSet* drivers = nullptr;
};

}  // namespace

TEST_CASE("sweep: idle images are queued, after what operators ask for", "[storage][tiering]") {
    Bench bench;
    bench.add_image(1, 100, 20);
    bench.add_image(2, 100, 3);
    bench.add_image(3, 100);
    bench.add_image(4, 5);
    const Sweep sweep = bench.run();
    CHECK(sweep.queued == 2);
    CHECK(sweep.batch.starts_with("tier 2024-10-04T00:00:00Z "));
    CHECK(sweep.plan.plan.bytes == 400);
    const auto jobs = bench.jobs(sweep.batch);
    REQUIRE(jobs.size() == 2);
    CHECK(jobs[0].priority == 200);
    CHECK(jobs[0].dedup_key == "move " + to_text(uuid(3)));  // never viewed: the coldest
    CHECK(jobs[1].dedup_key == "move " + to_text(uuid(1)));
    CHECK(target_of(jobs[0]).value().to == bench.id(1));
    // They are on their way: nothing more is to be done.
    const Sweep second = bench.run(kNow + 1);
    CHECK(second.queued == 0);
    CHECK(second.batch.empty());
    CHECK(second.plan.open == 2);
}

TEST_CASE("sweep: a plan changes nothing", "[storage][tiering]") {
    Bench bench;
    bench.add_image(1, 100);
    const SweepPlan plan = bench.plan();
    REQUIRE(plan.plan.moves.size() == 1);
    CHECK(plan.plan.moves[0].what.size == TierSize{.objects = 2, .bytes = 200, .uploads = 2});
    CHECK(plan.plan.calls == TierCalls{.class_a = 2, .class_b = 4});
    CHECK(value_of(bench.catalog->count_jobs("")).empty());
    CHECK(value_of(bench.catalog->claim("tiering sweep", "other", 1000, 2000)));
}

TEST_CASE("sweep: what earlier ones left open is room that the next has not",
          "[storage][tiering]") {
    Bench bench;
    bench.settings.max_candidates_per_sweep = 3;
    for (unsigned i = 1; i <= 8; ++i)
        bench.add_image(i, 100);
    CHECK(bench.run().queued == 3);
    const Sweep second = bench.run(kNow + 1);
    CHECK(second.queued == 0);
    CHECK(second.plan.plan.notes ==
          std::vector<std::string>{"what a sweep may move is used up; the next one goes on"});
    bench.work_off(2, 0);
    const Sweep next = bench.run(kNow + 2);
    CHECK(next.queued == 2);
    CHECK(next.plan.open == 1);
}

TEST_CASE("sweep: pressure is judged by what will be left", "[storage][tiering]") {
    Bench bench;
    bench.pools[0].settings.max_size_bytes = 1000;
    for (unsigned i = 1; i <= 5; ++i)
        bench.add_image(i, 10, 1);
    Sweep sweep = bench.run();
    CHECK(sweep.queued == 2);  // 1000 - 400 = 600, the first below 700
    CHECK(sweep.plan.plan.count(TierReason::watermark) == 2);
    CHECK(bench.run(kNow + 1).queued == 0);
    SECTION("the dwell time keeps the rest, and the plan says so") {
        Bench other;
        other.pools[0].settings.max_size_bytes = 1000;
        for (unsigned i = 1; i <= 5; ++i)
            other.add_image(i, 6, 1);
        const SweepPlan plan = other.plan();
        CHECK(plan.plan.moves.empty());
        REQUIRE_FALSE(plan.plan.notes.empty());
        CHECK_THAT(plan.plan.notes.back(), Catch::Contains("min_dwell_days_per_tier"));
    }
}

TEST_CASE("sweep: a pool is emptied to its low watermark however many sweeps that takes",
          "[storage][tiering]") {
    Bench bench;
    bench.pools[0].settings.max_size_bytes = 1000;
    bench.settings.max_candidates_per_sweep = 1;
    for (unsigned i = 1; i <= 5; ++i)
        bench.add_image(i, 10, 1);
    const PoolId hot = bench.id(0);
    const Sweep first = bench.run(kNow);
    CHECK(first.queued == 1);
    CHECK(first.plan.emptying == std::vector{hot});
    bench.move_all(first.batch);
    // 800 of 1000 bytes are between the two.
    const Sweep second = bench.run(kNow + 1);
    CHECK(second.queued == 1);
    CHECK_THAT(second.plan.plan.notes.back(),
               Catch::StartsWith("pool hot is being emptied to its low watermark (70 percent"));
    // And it is remembered until they have gone, not only until they are queued.
    CHECK(bench.run(kNow + 2).queued == 0);
    CHECK(bench.plan().emptying == std::vector{hot});
    bench.move_all(second.batch);
    CHECK(bench.run(kNow + 3).queued == 0);
    CHECK(bench.plan().emptying.empty());
    bench.add_image(6, 10, 1);
    CHECK(bench.run(kNow + 4).queued == 0);
}

TEST_CASE("sweep: what cannot be moved keeps no other from being moved", "[storage][tiering]") {
    Bench bench;
    bench.settings.max_candidates_per_sweep = 2;
    for (unsigned i = 1; i <= 4; ++i)
        bench.add_image(i, 100 - static_cast<int>(i));
    const Sweep first = bench.run();
    bench.work_off(2, 2);
    const Sweep second = bench.run(kNow + 1);
    REQUIRE(second.queued == 2);
    CHECK(second.plan.plan.moves[0].what.image.image == uuid(3));
    CHECK(second.plan.plan.moves[1].what.image.image == uuid(4));
    REQUIRE(second.plan.left_out.size() == 2);
    CHECK(second.plan.left_out[0].image == uuid(1));
    CHECK(second.plan.left_out[0].pool == bench.id(0));
    CHECK(second.plan.left_out[0].failed.error_class == "denied");
    CHECK_THAT(second.plan.plan.notes.back(), Catch::Contains("less than 7 days ago: 2;"));
    SECTION("until it is retried") {
        bench.work_off(2, 0, kNow + 1);
        const JobId failed = second.plan.left_out[0].failed.id;
        value_of(bench.catalog->set_job_state(failed, State::queued, kNow));
        CHECK(bench.plan().left_out.size() == 1);
        value_of(bench.catalog->set_job_state(failed, State::cancelled, kNow));
        const SweepPlan plan = bench.plan();
        CHECK(plan.left_out.size() == 1);
        CHECK(std::ranges::count(plan.plan.moves, uuid(1),
                                 [](const TierMove& move) { return move.what.image.image; }) == 1);
    }
    SECTION("or for a time") {
        bench.move_all(second.batch);
        CHECK(value_of(plan_sweep(bench.context(), kNow + kLeaveOutS)).plan.moves.empty());
        const auto later = value_of(plan_sweep(bench.context(), kNow + kLeaveOutS + 1));
        CHECK(later.plan.moves.size() == 2);
        CHECK(later.left_out.empty());
    }
    SECTION("and no longer than it stays where it is") {
        const auto rows = value_of(bench.catalog->objects_of(uuid(1)));
        value_of(bench.catalog->relocate(
            {.objects = rows, .to = bench.id(1), .image = uuid(1), .now_s = kNow + 2}));
        CHECK(bench.plan().left_out.size() == 1);
    }
}

TEST_CASE("sweep: a disk without room is no place to go", "[storage][tiering]") {
    Bench bench;
    bench.add_pool("warm", conf::PoolSettings::Type::local, Tier::warm);
    bench.add_image(1, 100);
    test::FakeDriver store("warm");
    DriverSet drivers(*bench.catalog, "uploads/", [&](const conf::PoolSettings&) {
        return std::make_unique<test::SharedDriver>(store);
    });
    drivers.use_pools(bench.pools);
    bench.drivers = &drivers;
    const auto target = [&] { return bench.plan().plan.moves.at(0).to; };
    CHECK(target() == bench.id(2));  // its store says nothing
    store.set_space({.free_bytes = 1'000, .total_bytes = 2'000});
    CHECK(target() == bench.id(2));
    store.set_space({.free_bytes = 499, .total_bytes = 2'000});  // 15 percent stay free
    CHECK(target() == bench.id(1));
    store.set_fault([](test::FakeDriver::Call call, std::string_view) -> std::optional<Error> {
        if (call != test::FakeDriver::Call::space) return std::nullopt;
        return Error{ErrorKind::io, "it is gone"};
    });
    CHECK(target() == bench.id(1));
    CHECK(bench.notes().back() == "nothing goes to pool warm: it is gone");
}

TEST_CASE("sweep: what comes back stays for the dwell time, and goes then", "[storage][tiering]") {
    Bench bench;
    bench.settings.promote_hits = 5;
    bench.add_image(1, 100, 0, 1);
    ViewUpdate views{.image = uuid(1), .views = 20, .last_s = kNow};
    value_of(bench.catalog->add_views({&views, 1}, kDay));
    const Sweep up = bench.run();
    CHECK(up.plan.plan.count(TierReason::promotion) == 1);
    auto rows = value_of(bench.catalog->objects_of(uuid(1)));
    value_of(bench.catalog->relocate(
        {.objects = rows, .to = bench.id(0), .image = uuid(1), .now_s = kNow}));
    value_of(bench.catalog->set_job_state(bench.jobs(up.batch)[0].id, State::cancelled, kNow));
    bench.settings.demote_if_no_views_days = 1;
    CHECK(bench.run(kNow + 7 * kDay - 1).queued == 0);
    CHECK(bench.run(kNow + 7 * kDay).plan.plan.count(TierReason::idle) == 1);
}

TEST_CASE("sweep: a cohort is a part of the images, or a list", "[storage][tiering]") {
    Bench bench;
    for (unsigned i = 1; i <= 60; ++i)
        bench.add_image(i, 100);
    bench.settings.cohort_percent = 50;
    const auto in_half = bench.plan().plan.moves.size();
    CHECK((in_half > 10 && in_half < 50));
    bench.settings.cohort_percent = 0;
    CHECK(bench.plan().plan.moves.empty());
    bench.settings.cohort_percent = 100;
    test::Folder folder;
    bench.settings.cohort_file =
        folder.write("list", "# some\n" + to_text(uuid(7)) + "\r\n\n" + to_text(uuid(3)) + "\n");
    CHECK(bench.plan().plan.moves.size() == 2);
    bench.settings.cohort_file = folder.write("list", to_text(uuid(7)) + "\nnone\n");
    const auto wrong = plan_sweep(bench.context(), kNow);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == ErrorKind::invalid);
    CHECK_THAT(wrong.error().text, Catch::Contains("list:2: "));
    bench.settings.cohort_file = folder.path("nowhere");
    CHECK_FALSE(plan_sweep(bench.context(), kNow));
}

TEST_CASE("sweep: one process at a time", "[storage][tiering]") {
    Bench bench;
    bench.add_image(1, 100);
    value_of(bench.catalog->claim("tiering sweep", "other", kNow * 1000, kNow * 1000 + 5000));
    const auto refused = run_sweep(bench.context(), "me", kNow);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::busy);
    CHECK(value_of(bench.catalog->count_jobs("")).empty());
    // One that died does not keep it for ever.
    CHECK(bench.run(kNow + 6).queued == 1);
    // Nor does one whose process has died, or that was made by a clock that was ahead.
    const std::string me = new_job_owner();
    const std::string dead = me.substr(0, me.find(' ')) + " 999999999 5 abc";
    value_of(bench.catalog->claim("tiering sweep", dead, kNow * 1000, kNow * 1000 + 900'000));
    CHECK(run_sweep(bench.context(), "me", kNow));
    const std::int64_t later_ms = (kNow + 30 * kDay) * 1000;
    value_of(bench.catalog->claim("tiering sweep", "other", later_ms, later_ms + 900'000));
    CHECK(run_sweep(bench.context(), "me", kNow));
    // And it lets go of it.
    CHECK(value_of(bench.catalog->claim("tiering sweep", "other", kNow * 1000, kNow * 1000 + 1)));
}

TEST_CASE("sweep: it stops when too many moves fail, and goes on when they were retried",
          "[storage][tiering]") {
    Bench bench;
    for (unsigned i = 1; i <= 40; ++i)
        bench.add_image(i, 100);
    bench.settings.max_candidates_per_sweep = 30;
    const Sweep first = bench.run();
    REQUIRE(first.queued == 30);
    SECTION("few moves say nothing") {
        bench.work_off(9, 9);
        CHECK(bench.plan().stopped.empty());
    }
    SECTION("as many as allowed") {
        bench.work_off(20, 4);
        CHECK(bench.plan().stopped.empty());
    }
    SECTION("more") {
        bench.work_off(20, 5);
        CHECK_THAT(bench.plan().stopped, Catch::StartsWith("5 of the last 20 moves"));
        CHECK(bench.count(first.batch, State::queued) == 10);
        const Sweep second = bench.run(kNow + 1);
        CHECK(second.queued == 0);
        CHECK(second.paused == 10);
        CHECK(bench.count(first.batch, State::queued) == 0);
        CHECK(bench.count(first.batch, State::paused) == 10);
        for (const JobRecord& job : bench.jobs(first.batch)) {
            if (job.state == State::failed)
                value_of(bench.catalog->set_job_state(job.id, State::queued, kNow));
        }
        CHECK(bench.plan().stopped.empty());
        bench.work_off(5, 0);
        // What is paused stays so until an operator resumes it.
        CHECK(bench.run(kNow + 2).queued == 30);
        CHECK(bench.count(first.batch, State::paused) == 10);
    }
    SECTION("a day later it tries again") {
        bench.work_off(20, 20);
        CHECK_FALSE(bench.plan().stopped.empty());
        CHECK(value_of(plan_sweep(bench.context(), kNow + kDay + 1)).stopped.empty());
    }
}

TEST_CASE("sweep: few moves at a time are judged too, by the last of them", "[storage][tiering]") {
    Bench bench;
    for (unsigned i = 1; i <= 40; ++i)
        bench.add_image(i, 100);
    bench.settings.max_candidates_per_sweep = 1;
    std::int64_t now_s = kNow;
    const auto sweep = [&](bool fails) {
        now_s += 6 * 3600;  // few in a day
        const Sweep one = bench.run(now_s);
        if (one.queued == 1) bench.work_off(1, fails ? 1 : 0, now_s);
        return one.plan.stopped;
    };
    const auto stopped = [&](std::int64_t at_s) {
        return value_of(plan_sweep(bench.context(), at_s)).stopped;
    };
    SECTION("it stops") {
        for (int i = 0; i < 10; ++i)
            CHECK(sweep(true).empty());
        CHECK_THAT(stopped(now_s), Catch::StartsWith("10 of the last 10 moves"));
        CHECK_FALSE(stopped(now_s + kDay - 1).empty());
        CHECK(stopped(now_s + kDay).empty());
    }
    SECTION("it goes on where the last ones have ended well") {
        for (int i = 0; i < 9; ++i)
            CHECK(sweep(true).empty());
        for (int i = 0; i < 8; ++i)
            sweep(false);
        CHECK(stopped(now_s).empty());
    }
    SECTION("a sweep of a clock that was ahead is none of the last") {
        bench.run(kNow + 400 * kDay);
        bench.work_off(1, 1, kNow + 400 * kDay);
        for (int i = 0; i < 9; ++i)
            sweep(i < 3);
        CHECK(stopped(now_s).empty());
        sweep(true);
        CHECK_THAT(stopped(now_s), Catch::StartsWith("4 of the last 10 moves"));
    }
}

TEST_CASE("sweep: backup pools and those that cannot be used are left alone",
          "[storage][tiering]") {
    Bench bench;
    bench.add_image(1, 100);
    SECTION("a target that is a backup") {
        bench.pools[1].settings.is_backup_target = true;
        CHECK(bench.plan().plan.moves.empty());
    }
    SECTION("a target that drains") {
        bench.pools[1].state = PoolRecord::State::draining;
        CHECK(bench.plan().plan.moves.empty());
    }
    SECTION("a source that is disabled") {
        bench.pools[0].settings.is_active = false;
        CHECK(bench.plan().plan.moves.empty());
    }
    SECTION("a target with a problem") {
        bench.pools[1].problem = "no secret";
        CHECK(bench.plan().plan.moves.empty());
    }
}
