// Moves of images, step by step, between pools in memory that fail when told to.
#include "storage/mover.h"

#include "storage/job_control.h"
#include "tests/support/move_bench.h"

#include <algorithm>
#include <ctime>
#include <map>
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
using test::kVariant;
using test::make_object;
using test::value_of;
using Bench = test::MoveBench;

TEST_CASE("mover: an image goes as a whole, and is cleaned up behind itself", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.store("hot").place(kVariant, "variant", 1'700'000'001);  // it has no row yet
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    CHECK(bench.in("cold", kOriginal));
    CHECK(bench.in("cold", kVariant));
    CHECK(bench.told == std::vector{kOriginal, kVariant});
    CHECK(value_of(bench.catalog->find_job(run.job().id))->state == JobRecord::State::done);
    CHECK(bench.store("hot").size() == 2);
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("hot").size() == 0);
    CHECK(kind_of(bench.clean(clean)) == "done");  // invariant 4
    test::check_accounts(*bench.catalog);
}

TEST_CASE("mover: each failure leaves the image where it was, and doing it again ends it",
          "[storage][mover]") {
    using Call = FakeDriver::Call;
    struct Case {
        std::string where;
        Call call;
        ErrorKind kind;
        std::string expected;
    };
    const std::vector<Case> cases{{"cold", Call::put, ErrorKind::io, "io"},
                                  {"cold", Call::put, ErrorKind::capped, "capped"},
                                  {"cold", Call::put, ErrorKind::denied, "denied"},
                                  {"hot", Call::get, ErrorKind::timed_out, "timed_out"},
                                  {"hot", Call::head, ErrorKind::io, "io"}};
    for (const Case& each : cases) {
        CAPTURE(each.where, each.expected);
        Bench bench;
        bench.place(kOriginal, "original");
        bench.place(kVariant, "variant");
        bench.store(each.where)
            .set_fault([&](Call call, std::string_view key) -> std::optional<Error> {
                if (call != each.call || key != kVariant) return std::nullopt;
                return Error{each.kind, "told to"};
            });
        JobRun run = bench.begin("cold");
        CHECK(kind_of(bench.move(run)) == each.expected);
        CHECK(bench.in("hot", kOriginal));
        CHECK(bench.in("hot", kVariant));
        CHECK(bench.told.empty());
        test::check_accounts(*bench.catalog);
        bench.store(each.where).set_fault({});
        // What will not be tried again is cleaned up where it was to go.
        const bool is_final = each.kind == ErrorKind::denied;
        bench.fail(run, !is_final);
        CHECK(bench.cleans().size() == (is_final ? 1U : 0U));
        if (is_final) {
            JobRun clean = bench.take("clean 2");
            CHECK(kind_of(bench.clean(clean)) == "done");
            value_of(bench.catalog->finish_job(clean.job().id, "me", bench.now_s));
            CHECK(bench.store("cold").size() == 0);
            value_of(
                bench.catalog->set_job_state(run.job().id, JobRecord::State::queued, bench.now_s));
        }
        JobRun again = bench.take("move");
        CHECK(kind_of(bench.move(again)) == "done");
        CHECK(bench.in("cold", kOriginal));
        CHECK(bench.in("cold", kVariant));
    }
}

TEST_CASE("mover: what is not as the catalog says is looked at closely", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.place(kVariant, "variant");
    const auto looked_at = [&] {
        std::vector<std::string> keys;
        for (const JobRecord& job : value_of(bench.catalog->list_jobs({.type = "reconcile"}, 10)))
            keys.push_back(job.dedup_key);
        return keys;
    };
    SECTION("of another size") {
        bench.store("hot").place(kOriginal, "orig");
    }
    SECTION("of another content") {
        bench.store("hot").place(kOriginal, "ORIGINAL");
    }
    JobRun run = bench.begin("cold");
    CHECK(bench.move(run).kind == JobEnd::Kind::failed);
    CHECK(looked_at() ==
          std::vector<std::string>{"reconcile hot " + kOriginal, "reconcile hot " + kVariant});
}

TEST_CASE("mover: what is missing is left to people", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    value_of(bench.store("hot").remove(kOriginal));
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "not_found");
    CHECK(value_of(bench.catalog->list_jobs({.type = "reconcile"}, 10)).empty());
}

TEST_CASE("mover: a put whose answer is lost is found", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.store("cold").lose_answers(1);
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "timed_out");
    bench.fail(run, true);
    // Whoever restarts it gives it new attempts, and takes nothing from what is known of it.
    value_of(bench.catalog->set_job_state(run.job().id, JobRecord::State::paused, bench.now_s));
    value_of(bench.catalog->set_job_state(run.job().id, JobRecord::State::queued, bench.now_s));
    bench.store("hot").set_fault([](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::get) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "must not be read again"});
    });
    JobRun again = bench.take("move");
    CHECK(again.job().attempts == 1);
    CHECK(kind_of(bench.move(again)) == "done");
    CHECK(bench.in("cold", kOriginal));
}

// Invariant 1.
TEST_CASE("mover: a copy that is found is settled before it is trusted", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.store("cold").lose_answers(1);
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "timed_out");
    bench.fail(run, true);
    bench.store("cold").set_fault([](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::settle) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "it cannot be synced"});
    });
    JobRun again = bench.take("move");
    CHECK(kind_of(bench.move(again)) == "io");
    CHECK(bench.in("hot", kOriginal));
    bench.store("cold").set_fault({});
    CHECK(kind_of(bench.move(again)) == "done");
    CHECK(bench.in("cold", kOriginal));
}

TEST_CASE("mover: a missing source ends well with a good copy, and changes nothing without",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.store("hot").remove(kOriginal).value();
    JobRun run = bench.begin("cold");
    const JobEnd end = bench.move(run);
    CHECK(kind_of(end) == "not_found");
    CHECK_THAT(end.error->text, Catch::Contains(kUuid));
    CHECK(value_of(bench.catalog->find(kOriginal))->pool == bench.ids["hot"]);
    bench.store("cold").place(kOriginal, "wrong on");
    CHECK(kind_of(bench.move(run)) == "not_found");
    bench.store("cold").place(kOriginal, "original");
    CHECK(kind_of(bench.move(run)) == "done");
    CHECK(bench.in("cold", kOriginal));
}

TEST_CASE("mover: what was replaced while it was copied stays", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    int puts = 0;
    bench.store("cold").set_fault([&](FakeDriver::Call call, std::string_view) {
        if (call == FakeDriver::Call::put && puts++ == 0) bench.place(kOriginal, "replaced");
        return std::optional<Error>();
    });
    JobRun run = bench.begin("cold");
    // The first round reads the new bytes for the old digest.
    CHECK(kind_of(bench.move(run)) == "corrupt");
    CHECK(bench.in("hot", kOriginal));
    CHECK(value_of(bench.catalog->find(kOriginal))->sha256 == conf::sha256("replaced"));
}

TEST_CASE("mover: a variant that comes while the image moves goes with it", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bool has_come = false;
    bench.store("cold").set_fault([&](FakeDriver::Call call, std::string_view) {
        if (call == FakeDriver::Call::put && !std::exchange(has_come, true)) {
            bench.store("hot").place(kVariant, "variant", 5);
            ObjectRecord row = make_object(kVariant, bench.ids["hot"], 7);
            value_of(bench.catalog->put_variant(row, kOriginal, true));
        }
        return std::optional<Error>();
    });
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    CHECK(bench.in("cold", kOriginal));
    CHECK(bench.in("cold", kVariant));
    // From here on one that was made for the old home is refused there.
    CHECK_FALSE(
        bench.catalog->put_variant(make_object(kVariant, bench.ids["hot"], 7), kOriginal, true));
}

TEST_CASE("mover: back within the grace time it needs no copy, and is not cleaned away",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun there = bench.begin("cold");
    CHECK(kind_of(bench.move(there)) == "done");
    JobRun back = bench.begin("hot");
    bench.store("cold").set_fault([](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::get) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "must not be read"});
    });
    CHECK(kind_of(bench.move(back)) == "done");
    CHECK(bench.in("hot", kOriginal));
    const Catalog::LaneWant want{.lane = "clean 1"};
    CHECK(value_of(bench.catalog->take_jobs({&want, 1}, "me", bench.now_s, 10)).empty());
    JobRun clean = bench.take("clean 2");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("cold").size() == 0);
    // While one is being cleaned up nothing comes back to it.
    value_of(bench.catalog->finish_job(clean.job().id, "me", bench.now_s));
    JobRun third = bench.begin("cold");
    CHECK(kind_of(bench.move(third)) == "done");
    JobRun cleaning = bench.take("clean 1");
    JobRun fourth = bench.begin("hot");
    CHECK(kind_of(bench.move(fourth)) == "put off");
}

TEST_CASE("mover: what came back, or was put in the place of what left, is not cleaned away",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    bench.store("hot").place(kOriginal, "somebody's", 1'800'000'000);
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("hot").size() == 1);
}

TEST_CASE("mover: no copy is removed whose image is not where the catalog says",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    bench.store("cold").remove(kOriginal).value();
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(bench.clean(clean)) == "corrupt");
    bench.store("cold").place(kOriginal, "too short");
    CHECK(kind_of(bench.clean(clean)) == "corrupt");
    CHECK(bench.store("hot").size() == 1);
    bench.store("cold").place(kOriginal, "original");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("hot").size() == 0);
}

TEST_CASE("mover: what was proved a moment ago is not asked for again", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    const std::int64_t lasts_s = GENERATE(0, 1000);
    Mover mover(*bench.catalog, bench.drivers, {.grace_s = 0, .proof_lasts_s = lasts_s});
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    int looks = 0;
    bench.store("cold").set_fault([&](FakeDriver::Call call, std::string_view) {
        looks += call == FakeDriver::Call::head ? 1 : 0;
        return std::optional<Error>();
    });
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(mover.clean(clean)) == "done");
    CHECK(looks == (lasts_s == 0 ? 1 : 0));
    CHECK(bench.store("hot").size() == 0);
    CHECK(bench.in("cold", kOriginal));
}

TEST_CASE("mover: a copy that is removed is forgotten though another one stays",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.place(kVariant, "variant");
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    // They were a mirror's.
    for (const std::string& key : {kOriginal, kVariant}) {
        BackupRecord copy;
        copy.pool = bench.ids["hot"];
        copy.key = key;
        copy.original = kOriginal;
        value_of(bench.catalog->put_backup(copy));
    }
    bench.store("hot").set_fault([](FakeDriver::Call call, std::string_view key) {
        if (call != FakeDriver::Call::remove || key != kVariant) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "told to"});
    });
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(bench.clean(clean)) == "io");
    CHECK_FALSE(value_of(bench.catalog->find_backup(bench.ids["hot"], kOriginal)));
    CHECK(value_of(bench.catalog->find_backup(bench.ids["hot"], kVariant)));
    CHECK(bench.store("hot").size() == 1);
}

TEST_CASE("mover: a proof is good for the pool that it was given in alone", "[storage][mover]") {
    Bench bench;
    const PoolId third = bench.pool("third", conf::PoolSettings::Type::s3).id;
    ObjectRecord row = bench.place(kOriginal, "original");
    Mover mover(*bench.catalog, bench.drivers, {.grace_s = 0, .proof_lasts_s = 1000});
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    // It went on, and nobody has seen it there.
    row.pool = bench.ids["cold"];
    value_of(bench.catalog->relocate({.objects = {row}, .to = third}));
    auto pools = bench.drivers.pools();
    KnownPool known = pools.front();
    known.settings.name = "third";
    known.id = third;
    pools.push_back(known);
    bench.drivers.use_pools(pools);
    JobRun clean = bench.take("clean 1");
    CHECK(kind_of(mover.clean(clean)) == "corrupt");
    CHECK(bench.store("hot").size() == 1);
}

TEST_CASE("mover: a clean that is due waits for a move to that pool", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    JobRun back = bench.begin("hot");
    bool has_been = false;
    bench.store("hot").set_fault([&](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::head || std::exchange(has_been, true))
            return std::optional<Error>();
        JobRun clean = bench.take("clean 1");
        CHECK(kind_of(bench.clean(clean)) == "put off");
        return std::optional<Error>();
    });
    CHECK(kind_of(bench.move(back)) == "done");
    CHECK(bench.in("hot", kOriginal));
}

TEST_CASE("mover: whoever lost the lease changes nothing any more", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun slow = bench.begin("cold");
    value_of(bench.catalog->set_job_state(slow.job().id, JobRecord::State::paused, bench.now_s));
    CHECK(kind_of(bench.move(slow)) == "interrupted");
    CHECK(bench.in("hot", kOriginal));
    CHECK(value_of(bench.catalog->find(kOriginal))->pool == bench.ids["hot"]);
    JobRun expired(slow.job(), bench.now_s + 1);
    CHECK(kind_of(bench.move(expired)) == "interrupted");
}

TEST_CASE("mover: a pool that is full, disabled or unknown takes nothing", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    KnownPool small = bench.pool("small", conf::PoolSettings::Type::local);
    small.settings.max_size_bytes = 7;
    KnownPool closed = bench.pool("closed", conf::PoolSettings::Type::local);
    closed.settings.is_active = false;
    auto pools = bench.drivers.pools();
    pools.push_back(small);
    pools.push_back(closed);
    bench.drivers.use_pools(pools);
    bench.ids["unknown"] = test::make_pool(*bench.catalog, "unknown");
    for (const auto& [name, expected] : std::map<std::string, std::string>{
             {"small", "capped"}, {"closed", "misconfigured"}, {"unknown", "misconfigured"}}) {
        CAPTURE(name);
        JobRun run = bench.begin(name);
        CHECK(kind_of(bench.move(run)) == expected);
        CHECK(bench.in("hot", kOriginal));
        // It has left nothing there.
        value_of(end_job(*bench.catalog, run.job(),
                         JobEnd::refused({ErrorKind::misconfigured, "as the mover says"})));
        CHECK(bench.cleans().empty());
    }
}

TEST_CASE("mover: an image that was deleted, or is there already, is nothing to do",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun same = bench.begin("hot");
    CHECK(kind_of(bench.move(same)) == "done");
    value_of(bench.catalog->begin_deletion(*parse_uuid(kUuid), {.type = "delete", .payload = "{}"},
                                           bench.now_s));
    value_of(bench.catalog->remove_object(kOriginal, bench.ids["hot"]));
    value_of(bench.catalog->end_deletion(*parse_uuid(kUuid)));
    CHECK(kind_of(bench.move(same)) == "done");
}

TEST_CASE("mover: one that is cancelled before the catalog knows of it is cleaned up",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun run = bench.begin("cold");
    JobEnd end = bench.mover.move(run);
    REQUIRE(kind_of(end) == "relocates");
    value_of(bench.catalog->set_job_state(run.job().id, JobRecord::State::cancelled, bench.now_s));
    const auto instead = end.then(bench.catalog->relocate(*end.relocation));
    REQUIRE(instead);
    CHECK(kind_of(*instead) == "interrupted");
    CHECK(bench.told.empty());
    JobRun clean = bench.take("clean 2");
    CHECK(kind_of(bench.clean(clean)) == "put off");  // somebody may still be copying
    value_of(end_job(*bench.catalog, run.job(), *instead));
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("cold").size() == 0);
    CHECK(bench.in("hot", kOriginal));
}

TEST_CASE("mover: a move that is cancelled after it began is cleaned up", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.place(kVariant, "variant");
    bench.store("cold").set_fault([](FakeDriver::Call call, std::string_view key) {
        if (call != FakeDriver::Call::put || key != kVariant) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "told to"});
    });
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "io");
    CHECK(bench.store("cold").size() == 1);
    bench.fail(run, true);
    if (GENERATE(false, true)) {
        for (const JobAction action : {JobAction::pause, JobAction::resume}) {
            const auto job = *value_of(bench.catalog->find_job(run.job().id));
            CHECK(value_of(act_on_job(*bench.catalog, job, action, bench.now_s)));
        }
    }
    CHECK(value_of(act_on_job(*bench.catalog, run.job(), JobAction::cancel, bench.now_s)));
    JobRun clean = bench.take("clean 2");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("cold").size() == 0);
    CHECK(bench.in("hot", kOriginal));
}

TEST_CASE("mover: variants that no profile names go along", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    const std::string folder = "uploads/variants/2026/02/25/";
    const std::string variant = folder + kUuid + "_large.jpg";
    const std::string other = folder + "0b1f6c2e-9a7d-4c55-8a3e-1234567890ac_large.jpg";
    bench.store("hot").place(variant, "of an old profile");
    bench.store("hot").place(other, "of another image");
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    CHECK(bench.in("cold", variant));
    CHECK_FALSE(bench.store("cold").content(other));
}

TEST_CASE("mover: one that ends with its process again and again is cleaned up",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    NewJob job =
        move_job({.image = parse_uuid(kUuid), .key = {}, .to = bench.ids["cold"]}, 1, 100, "b");
    value_of(bench.catalog->queue_job(job, 0));
    const Catalog::LaneWant want{.lane = job.lane};
    for (std::int64_t i = 0; i <= Catalog::kMostLost; ++i) {
        CHECK(bench.cleans().empty());
        value_of(bench.catalog->take_jobs({&want, 1}, "me", i * 100, 30));
    }
    bench.store("cold").place(kOriginal, "original");
    JobRun clean = bench.take("clean 2");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("cold").size() == 0);
    CHECK(bench.in("hot", kOriginal));
}

TEST_CASE("mover: what an image leaves behind twice is cleaned twice", "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    JobRun run = bench.begin("cold");
    CHECK(kind_of(bench.move(run)) == "done");
    // Before that is cleaned up one more comes where the image was, and follows it.
    bench.place(kVariant, "variant");
    JobRun again = bench.begin("cold");
    CHECK(kind_of(bench.move(again)) == "done");
    for (int i = 0; i < 2; ++i) {
        JobRun clean = bench.take("clean 1");
        CHECK(kind_of(bench.clean(clean)) == "done");
        value_of(bench.catalog->finish_job(clean.job().id, "me", bench.now_s));
    }
    CHECK(bench.store("hot").size() == 0);
    CHECK(bench.in("cold", kOriginal));
    CHECK(bench.in("cold", kVariant));
}

TEST_CASE("mover: a clean leaves to a later one what that is about", "[storage][mover]") {
    Bench bench;
    const ObjectRecord row = bench.place(kOriginal, "original", "cold");
    bench.store("hot").place(kOriginal, "original", row.modified_s);
    const MoveTarget target{.image = parse_uuid(kUuid), .key = {}, .to = bench.ids["hot"]};
    value_of(
        bench.catalog->queue_job(clean_after_move(target, {&row, 1}, bench.now_s), bench.now_s));
    const JobId later = value_of(bench.catalog->queue_job(
        clean_after_move(target, {&row, 1}, bench.now_s + 600), bench.now_s));
    JobRun clean = bench.take("clean 1");
    CHECK(clean.job().id != later);
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("hot").size() == 1);
    value_of(bench.catalog->set_job_state(later, JobRecord::State::cancelled, bench.now_s));
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK(bench.store("hot").size() == 0);
}

TEST_CASE("mover: an object that is removed while it moves does not stay where it was to go",
          "[storage][mover]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.place(kVariant, "variant");
    JobRun run = bench.begin("cold");
    JobEnd end = bench.mover.move(run);
    REQUIRE(kind_of(end) == "relocates");
    CHECK(bench.store("cold").size() == 2);
    const bool is_whole = GENERATE(false, true);
    const std::string& removed = is_whole ? kOriginal : kVariant;
    bench.store("hot").remove(removed).value();
    value_of(bench.catalog->remove_object(removed, bench.ids["hot"]));
    const auto instead = end.then(bench.catalog->relocate(*end.relocation));
    REQUIRE(instead);
    JobRun early = bench.take("clean 2");
    CHECK(kind_of(bench.clean(early)) == "put off");
    value_of(bench.catalog->put_off_job(early.job().id, "me", bench.now_s, false));
    value_of(end_job(*bench.catalog, run.job(), *instead));
    JobRun again = bench.take("move");
    CHECK(kind_of(bench.move(again)) == (is_whole ? "not_found" : "done"));
    bench.fail(again, false);
    JobRun clean = bench.take("clean 2");
    CHECK(kind_of(bench.clean(clean)) == "done");
    CHECK_FALSE(bench.store("cold").content(kVariant));
    CHECK(bench.store("cold").size() == (is_whole ? 0 : 1));
    CHECK((is_whole || bench.in("cold", kOriginal)));
    test::check_accounts(*bench.catalog);
}
