// The catalog's interface: pools, jobs, views, budgets and scans.
#include "tests/support/catalog_backends.h"

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_object;
using test::make_pool;
using test::value_of;
using State = JobRecord::State;

namespace {

// The one job of these lanes that is taken, if one is due.
std::optional<JobRecord> take_one(Catalog& catalog, const std::string& lane,
                                  const std::string& owner, std::int64_t now_s,
                                  std::int64_t lease_s) {
    const Catalog::LaneWant want{.lane = lane};
    auto jobs = value_of(catalog.take_jobs({&want, 1}, owner, now_s, lease_s));
    REQUIRE(jobs.size() < 2);
    if (jobs.empty()) return std::nullopt;
    return jobs.front();
}

template <class T>
ErrorKind error_of(const Result<T>& result) {
    REQUIRE_FALSE(result);
    return result.error().kind;
}

}  // namespace

CATALOG_TEST("catalog: pools of the file are declared, and again when it changed", "[pools]") {
    TestType backend;
    const auto catalog = backend.open();
    const auto first = value_of(catalog->declare_pool("hot", R"({"a":1})"));
    CHECK(first.origin == PoolRecord::Origin::file);
    CHECK(value_of(catalog->declare_pool("hot", R"({"a":1})")) == first);
    const auto second = value_of(catalog->declare_pool("hot", R"({"a":2})"));
    CHECK(second.id == first.id);
    CHECK(value_of(catalog->pools()) == std::vector{second});
}

CATALOG_TEST("catalog: pools are made, changed, and removed only when empty", "[pools]") {
    TestType backend;
    const auto catalog = backend.open();
    PoolRecord pool;
    pool.name = "b2";
    pool.settings = "{}";
    pool.secrets = std::string("\0\xFF encrypted", 12);
    pool.origin = PoolRecord::Origin::api;
    pool = value_of(catalog->create_pool(pool));
    CHECK(pool.id > 0);
    CHECK(error_of(catalog->create_pool(pool)) == ErrorKind::conflict);
    CHECK(error_of(catalog->declare_pool("b2", "{}")) == ErrorKind::conflict);
    pool.state = PoolRecord::State::draining;
    value_of(catalog->change_pool(pool));
    CHECK(value_of(catalog->pools()) == std::vector{pool});
    PoolRecord other = value_of(catalog->declare_pool("hot", "{}"));
    other.name = "b2";
    CHECK(error_of(catalog->change_pool(other)) == ErrorKind::conflict);

    value_of(catalog->put_object(make_object("uploads/a.jpg", pool.id)));
    CHECK(error_of(catalog->remove_pool(pool.id)) == ErrorKind::conflict);
    value_of(catalog->remove_object("uploads/a.jpg", pool.id));
    value_of(catalog->add_budget_use(pool.id, 1, {.class_a_calls = 1}));
    value_of(catalog->remove_pool(pool.id));
    CHECK(error_of(catalog->remove_pool(pool.id)) == ErrorKind::not_found);
    CHECK(error_of(catalog->change_pool(pool)) == ErrorKind::not_found);
    CHECK(value_of(catalog->declare_pool("next", "{}")).id > pool.id);
}

CATALOG_TEST("catalog: an object of a pool that is none is refused", "[pools]") {
    TestType backend;
    const auto catalog = backend.open();
    CHECK(error_of(catalog->put_object(make_object("uploads/a.jpg", 77))) == ErrorKind::conflict);
    CHECK_FALSE(value_of(catalog->find("uploads/a.jpg")));
    test::check_accounts(*catalog);
}

CATALOG_TEST("catalog: a job is queued once while it is open", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const NewJob job{.type = "reconcile", .payload = R"({"key":"a"})", .dedup_key = "reconcile:a"};
    const JobId id = value_of(catalog->queue_job(job, 100));
    CHECK(value_of(catalog->queue_job(job, 101)) == id);
    const auto taken = take_one(*catalog, "reconcile", "one", 100, 30);
    REQUIRE(taken);
    CHECK(taken->id == id);
    CHECK(taken->payload == job.payload);
    CHECK(taken->attempts == 1);
    CHECK(value_of(catalog->find_job(id)) == taken);
    CHECK(value_of(catalog->queue_job(job, 102)) == id);
    CHECK(value_of(catalog->finish_job(id, "one", 103)));
    CHECK(value_of(catalog->queue_job(job, 104)) != id);
    const NewJob any{.type = "scan", .payload = "{}"};
    CHECK(value_of(catalog->queue_job(any, 1)) != value_of(catalog->queue_job(any, 1)));
}

CATALOG_TEST("catalog: jobs are taken by lane, by priority, then by time, when due", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const auto queue = [&](const std::string& lane, int priority, std::int64_t when_s) {
        return value_of(catalog->queue_job({.type = "move",
                                            .payload = "{}",
                                            .priority = priority,
                                            .not_before_s = when_s,
                                            .lane = lane},
                                           10));
    };
    const JobId later = queue("move 1>2", 1, 1000);
    const JobId low = queue("move 1>2", 200, 0);
    const JobId second = queue("move 1>2", 100, 20);
    const JobId first = queue("move 1>2", 100, 15);
    const JobId other = queue("clean 1", 100, 0);
    const JobId plain = queue("", 100, 0);
    using Wants = std::vector<Catalog::LaneWant>;
    const auto take = [&](const Wants& wants, std::int64_t now_s) {
        std::vector<JobId> ids;
        for (const JobRecord& job : value_of(catalog->take_jobs(wants, "me", now_s, 10'000)))
            ids.push_back(job.id);
        return ids;
    };
    std::vector<std::string> lanes;
    for (const OpenLane& lane : value_of(catalog->open_lanes()))
        lanes.push_back(lane.lane + " " + std::to_string(lane.priority) + " " +
                        std::to_string(lane.next_run_s));
    CHECK(lanes == std::vector<std::string>{"clean 1 100 10", "move 100 10", "move 1>2 1 1000",
                                            "move 1>2 100 15", "move 1>2 200 10"});
    CHECK(take(Wants{{"move 1>2", 9}}, 9).empty());
    CHECK(take(Wants{{"purge", 9}}, 30).empty());
    CHECK(take(Wants{{"move 1>2", 2}}, 30) == std::vector{first, second});
    CHECK(take(Wants{{"move 1>2", 2}, {"clean 1", 1}, {"move", 3}}, 30) ==
          std::vector{low, other, plain});
    CHECK(take(Wants{{"move 1>2", 2}}, 30).empty());
    CHECK(take(Wants{{"move 1>2", 2}}, 1000) == std::vector{later});
}

CATALOG_TEST("catalog: a job that ends with its process again and again is put aside", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const JobId id = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    const JobId next = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 1));
    value_of(catalog->set_job_state(next, State::paused, 1));
    std::int64_t now_s = 0;
    for (std::int64_t i = 0; i < Catalog::kMostLost; ++i, now_s += 100) {
        const auto taken = take_one(*catalog, "move", "me", now_s, 30);
        REQUIRE(taken);
        CHECK(taken->id == id);
        CHECK(taken->lost == i);
    }
    CHECK(value_of(catalog->set_job_state(next, State::queued, now_s)));
    CHECK(take_one(*catalog, "move", "me", now_s, 30)->id == next);
    const auto poisoned = value_of(catalog->find_job(id));
    CHECK(poisoned->state == State::failed);
    CHECK(poisoned->error_class == "poisoned");
    // Whoever retries it gives it all its chances again.
    CHECK(value_of(catalog->set_job_state(id, State::queued, now_s)));
    CHECK(take_one(*catalog, "move", "me", now_s, 30)->lost == 0);
}

CATALOG_TEST("catalog: what a dead owner had is free at once, later after more deaths", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    REQUIRE(take_one(*catalog, "move", "dead", 0, 1000));
    CHECK(value_of(catalog->lease_owners()) == std::vector<std::string>{"dead"});
    CHECK(value_of(catalog->drop_leases("other", 10)) == 0);
    CHECK(value_of(catalog->drop_leases("dead", 10)) == 1);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(take_one(*catalog, "move", "dead", 10, 1000));
        CHECK(value_of(catalog->drop_leases("dead", 10)) == 1);
    }
    CHECK_FALSE(take_one(*catalog, "move", "me", 11, 1000));
    CHECK(take_one(*catalog, "move", "me", 12, 1000));
    CHECK(value_of(catalog->lease_owners()) == std::vector<std::string>{"me"});
}

CATALOG_TEST("catalog: a job that is put off has lost no attempt", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const JobId id = value_of(
        catalog->queue_job({.type = "move", .payload = "{}", .dedup_key = "one", .batch = "b"}, 0));
    REQUIRE(take_one(*catalog, "move", "me", 0, 30));
    CHECK_FALSE(value_of(catalog->put_off_job(id, "other", 50, false)));
    CHECK(value_of(catalog->put_off_job(id, "me", 50, false)));
    CHECK_FALSE(take_one(*catalog, "move", "me", 49, 30));
    CHECK(value_of(catalog->find_open_job("one"))->attempts == 0);
    CHECK(value_of(catalog->find_open_job("one"))->begun == 0);
    CHECK(value_of(catalog->set_job_state(id, State::cancelled, 1)));
    CHECK_FALSE(value_of(catalog->find_open_job("one")));
    const auto counts = value_of(catalog->count_jobs("b"));
    REQUIRE(counts.size() == 1);
    CHECK(counts[0].state == State::cancelled);
    CHECK(counts[0].count == 1);
    CHECK(value_of(catalog->count_jobs("other")).empty());
    CHECK(value_of(catalog->count_jobs("")).size() == 1);
}

CATALOG_TEST("catalog: a lease that ran out is taken over, and its old owner told so", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const JobId id = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    REQUIRE(take_one(*catalog, "move", "dead", 0, 30));
    CHECK(value_of(catalog->renew_job(id, "dead", 50, R"({"done":3})")));
    CHECK_FALSE(take_one(*catalog, "move", "next", 49, 30));
    const auto taken = take_one(*catalog, "move", "next", 50, 30);
    REQUIRE(taken);
    CHECK(taken->attempts == 2);
    CHECK(taken->progress == R"({"done":3})");
    CHECK_FALSE(value_of(catalog->renew_job(id, "dead", 99, "")));
    CHECK_FALSE(value_of(catalog->finish_job(id, "dead", 60)));
    CHECK_FALSE(value_of(catalog->fail_job(id, "dead", {.error_class = "io", .text = "x"}, 60)));
    CHECK(value_of(catalog->finish_job(id, "next", 60)));
    CHECK_FALSE(value_of(catalog->finish_job(id, "next", 60)));
    CHECK(value_of(catalog->find_job(id))->state == State::done);
}

CATALOG_TEST("catalog: a failed attempt comes again when it is due, or never", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const JobId id = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    REQUIRE(take_one(*catalog, "move", "me", 0, 30));
    CHECK(value_of(catalog->fail_job(
        id, "me", {.error_class = "io", .text = std::string(9000, 'x'), .retry_at_s = 500}, 1)));
    const auto waiting = value_of(catalog->find_job(id));
    CHECK(waiting->state == State::queued);
    CHECK(waiting->next_run_s == 500);
    CHECK(waiting->error_class == "io");
    CHECK(waiting->error_text.size() == 4096);
    CHECK_FALSE(take_one(*catalog, "move", "me", 499, 30));
    REQUIRE(take_one(*catalog, "move", "me", 500, 30));
    CHECK(value_of(catalog->fail_job(
        id, "me", {.error_class = "denied", .text = "no", .retry_at_s = {}}, 501)));
    CHECK(value_of(catalog->find_job(id))->state == State::failed);
    CHECK_FALSE(take_one(*catalog, "move", "me", 9999, 30));
}

CATALOG_TEST("catalog: jobs are paused, cancelled, retried, listed and forgotten", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const NewJob job{.type = "move", .payload = "{}", .dedup_key = "one"};
    const JobId id = value_of(catalog->queue_job(job, 0));
    REQUIRE(take_one(*catalog, "move", "me", 0, 30));
    CHECK(value_of(catalog->set_job_state(id, State::paused, 1)));
    CHECK_FALSE(value_of(catalog->renew_job(id, "me", 99, "")));
    CHECK_FALSE(take_one(*catalog, "move", "me", 999, 30));
    CHECK(value_of(catalog->set_job_state(id, State::queued, 2)));
    CHECK(value_of(catalog->set_job_state(id, State::cancelled, 3)));
    CHECK_FALSE(value_of(catalog->put_off_job(id, "me", 3, true)));
    CHECK_FALSE(value_of(catalog->set_job_state(id, State::paused, 4)));
    CHECK_FALSE(value_of(catalog->set_job_state(id, State::done, 4)));
    const JobId next = value_of(catalog->queue_job(job, 5));
    CHECK_FALSE(value_of(catalog->set_job_state(id, State::queued, 6)));    // its key is taken
    CHECK_FALSE(value_of(catalog->set_job_state(next, State::queued, 6)));  // nobody has tried
    REQUIRE(take_one(*catalog, "move", "me", 6, 30));
    CHECK_FALSE(value_of(catalog->set_job_state(next, State::queued, 6)));  // somebody does now
    value_of(catalog->fail_job(next, "me",
                               {.error_class = "capped", .text = "full", .retry_at_s = 9000}, 7));
    CHECK(value_of(catalog->set_job_state(next, State::queued, 8)));
    CHECK(value_of(catalog->find_job(next))->next_run_s == 8);
    CHECK(value_of(catalog->find_job(next))->attempts == 1);
    CHECK(value_of(catalog->list_jobs({.type = "move", .state = State::queued}, 10)).size() == 1);
    CHECK(value_of(catalog->list_jobs({}, 10)).size() == 2);
    CHECK(value_of(catalog->list_jobs({.type = {}, .state = {}, .after = id}, 10))[0].id == next);
    CHECK(value_of(catalog->list_jobs({.type = "scan"}, 10)).empty());
    CHECK(value_of(catalog->forget_jobs(3)) == 0);
    CHECK(value_of(catalog->forget_jobs(4)) == 1);
    CHECK_FALSE(value_of(catalog->find_job(id)));
    CHECK(value_of(catalog->find_job(next)));
}

CATALOG_TEST("catalog: jobs are listed by what they are, in the order of their ids", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const char* const types[] = {"move", "clean"};
    const char* const batches[] = {"", "b", "c"};
    const State states[] = {State::queued, State::paused, State::cancelled};
    std::vector<JobRecord> all;
    for (std::size_t i = 0; i < 36; ++i) {
        const JobId id = value_of(catalog->queue_job(
            {.type = types[i % 2], .payload = "{}", .batch = batches[i % 3]}, 0));
        const State state = states[i / 6 % 3];
        if (state != State::queued) value_of(catalog->set_job_state(id, state, 0));
        all.push_back(value_of(catalog->find_job(id)).value());
    }
    for (const char* type : {"", "move", "clean", "scan"}) {
        for (const char* batch : {"", "b", "none"}) {
            for (const std::optional<State> state :
                 {std::optional<State>(), std::optional(State::paused)}) {
                for (const std::size_t limit : {std::size_t{1}, std::size_t{4}, all.size()}) {
                    const JobFilter filter{
                        .type = type, .batch = batch, .state = state, .after = all[3].id};
                    CAPTURE(type, batch, state.has_value(), limit);
                    std::vector<JobRecord> expected;
                    for (const JobRecord& job : all) {
                        const bool is_wanted = job.id > filter.after &&
                                               (filter.type.empty() || job.type == type) &&
                                               (filter.batch.empty() || job.batch == batch) &&
                                               (!state || job.state == *state);
                        if (is_wanted && expected.size() < limit) expected.push_back(job);
                    }
                    CHECK(value_of(catalog->list_jobs(filter, limit)) == expected);
                }
            }
        }
    }
}

CATALOG_TEST("catalog: counts of jobs are right whatever becomes of them", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    std::minstd_rand random(20'260'225);
    const auto pick = [&](std::size_t of) { return static_cast<std::size_t>(random() % of); };
    const char* const types[] = {"move", "clean", "purge"};
    const char* const batches[] = {"", "b", "c"};
    using Kind = std::tuple<std::string, State, std::uint64_t>;
    const auto check = [&](const std::string& batch) {
        std::map<std::pair<std::string, State>, std::uint64_t> jobs;
        for (const JobRecord& job : value_of(catalog->list_jobs({}, 10'000))) {
            if (batch.empty() || job.batch == batch) ++jobs[{job.type, job.state}];
        }
        std::vector<Kind> expected;
        for (const auto& [kind, count] : jobs)
            expected.emplace_back(kind.first, kind.second, count);
        std::vector<Kind> found;
        for (const JobCount& each : value_of(catalog->count_jobs(batch)))
            found.emplace_back(each.type, each.state, each.count);
        CHECK(found == expected);
    };
    for (std::int64_t now_s = 1; now_s < 400; ++now_s) {
        const std::string key = fmt::format("key {}", pick(5));
        const auto& type = types[pick(3)];
        switch (pick(6)) {
            case 0:
            case 1:
                value_of(catalog->queue_job(
                    {.type = type, .payload = "{}", .dedup_key = key, .batch = batches[pick(3)]},
                    now_s));
                break;
            case 2:
                if (const auto job = take_one(*catalog, type, "me", now_s, 5))
                    value_of(catalog->finish_job(job->id, "me", now_s));
                break;
            case 3:
                if (const auto job = take_one(*catalog, type, "me", now_s, 5))
                    value_of(catalog->fail_job(job->id, "me", {.error_class = "io", .text = "x"},
                                               now_s));
                break;
            case 4:
                for (const JobRecord& job : value_of(catalog->list_jobs({.type = type}, 100))) {
                    // Of two with one key the second cannot be open.
                    const State to[] = {State::queued, State::paused, State::cancelled};
                    value_of(catalog->set_job_state(job.id, to[pick(3)], now_s));
                }
                break;
            default:
                value_of(catalog->forget_jobs(now_s - 20));
        }
        for (const char* batch : batches)
            check(batch);
    }
}

CATALOG_TEST("catalog: a job that was put off by a clock that was ahead comes sooner", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const JobId ahead =
        value_of(catalog->queue_job({.type = "move", .payload = "1", .not_before_s = 90'000}, 0));
    const JobId other =
        value_of(catalog->queue_job({.type = "move", .payload = "2", .not_before_s = 500}, 0));
    const JobId lost = value_of(catalog->queue_job({.type = "clean", .payload = "3"}, 0));
    REQUIRE(take_one(*catalog, "clean", "gone", 80'000, 30));
    CHECK(value_of(catalog->bring_jobs_forward(600)) == 2);
    CHECK(value_of(catalog->bring_jobs_forward(600)) == 0);
    // Whoever was at one that was stopped since may be gone.
    const JobId held = value_of(catalog->queue_job({.type = "scan", .payload = "4"}, 0));
    REQUIRE(take_one(*catalog, "scan", "gone", 80'000, 30));
    CHECK(value_of(catalog->set_job_state(held, State::cancelled, 0)));
    CHECK(value_of(catalog->bring_jobs_forward(600)) == 1);
    CHECK_FALSE(value_of(catalog->find_job(held))->is_held(600));
    CHECK(value_of(catalog->find_job(ahead))->next_run_s == 600);
    CHECK(value_of(catalog->find_job(other))->next_run_s == 500);
    CHECK_FALSE(take_one(*catalog, "clean", "me", 599, 30));
    CHECK(take_one(*catalog, "clean", "me", 600, 30)->id == lost);
}

CATALOG_TEST("catalog: what is stopped is its worker's until he lets go of it", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const NewJob job{.type = "move", .payload = "{}", .dedup_key = "one"};
    const JobId id = value_of(catalog->queue_job(job, 0));
    REQUIRE(take_one(*catalog, "move", "me", 0, 300));
    const bool is_dead = GENERATE(false, true);
    const auto let_go = [&](std::int64_t now_s) {
        if (is_dead) {
            CHECK(value_of(catalog->lease_owners()) == std::vector<std::string>{"me"});
            CHECK(value_of(catalog->drop_leases("me", now_s)) == 1);
        } else {
            CHECK_FALSE(value_of(catalog->put_off_job(id, "me", now_s, true)));
        }
    };
    SECTION("paused, and resumed") {
        CHECK(value_of(catalog->set_job_state(id, State::paused, 1)));
        CHECK(value_of(catalog->find_job(id))->is_held(1));
        CHECK(value_of(catalog->set_job_state(id, State::queued, 2)));
        CHECK_FALSE(take_one(*catalog, "move", "other", 299, 30));
        let_go(10);
        CHECK_FALSE(value_of(catalog->find_job(id))->is_held(10));
        const auto taken = take_one(*catalog, "move", "other", 10, 30);
        REQUIRE(taken);
        CHECK(taken->attempts == 1);
        CHECK(taken->begun == 2);
    }
    SECTION("paused, and let go of before it is resumed") {
        CHECK(value_of(catalog->set_job_state(id, State::paused, 1)));
        let_go(10);
        CHECK(value_of(catalog->find_job(id))->state == State::paused);
        CHECK(value_of(catalog->set_job_state(id, State::queued, 11)));
        CHECK(take_one(*catalog, "move", "other", 11, 30));
    }
    SECTION("cancelled, and another of its name") {
        CHECK(value_of(catalog->set_job_state(id, State::cancelled, 1)));
        const JobId next = value_of(catalog->queue_job(job, 2));
        CHECK(next != id);
        CHECK(value_of(catalog->jobs_named("one")).size() == 2);
        CHECK_FALSE(take_one(*catalog, "move", "other", 10, 30));
        let_go(10);
        CHECK(value_of(catalog->jobs_named("one")).size() == 1);
        CHECK(take_one(*catalog, "move", "other", 11, 30)->id == next);
    }
    SECTION("nobody comes back to it") {
        CHECK(value_of(catalog->set_job_state(id, State::paused, 1)));
        CHECK(value_of(catalog->set_job_state(id, State::queued, 2)));
        CHECK(take_one(*catalog, "move", "other", 300, 30));
    }
}

CATALOG_TEST("catalog: jobs of one name beside one another", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const auto queue = [&](const std::string& name) {
        return value_of(catalog->queue_job(
            {.type = "clean", .payload = "{}", .dedup_key = name, .is_apart = true}, 0));
    };
    const auto named = [&](const std::string& name) {
        std::vector<JobId> ids;
        for (const JobRecord& job : value_of(catalog->jobs_named(name)))
            ids.push_back(job.id);
        return ids;
    };
    const JobId first = queue("clean 1 a");
    const JobId second = queue("clean 1 a");
    const JobId other = queue("clean 1 a b");
    queue("clean 1 ab");
    const JobId third = queue("clean 1 a");
    CHECK(named("clean 1 a") == std::vector{first, second, third});
    CHECK(named("clean 1 a b") == std::vector{other});
    CHECK(named("clean 1").empty());
    CHECK(value_of(catalog->set_job_state(second, State::cancelled, 1)));
    CHECK(named("clean 1 a") == std::vector{first, third});
}

CATALOG_TEST("catalog: invariant 4: workers of several processes never have one job twice",
             "[jobs]") {
    TestType backend;
    const auto first = backend.open();
    const auto second = backend.open();
    constexpr int kJobs = 60;
    for (int i = 0; i < kJobs; ++i)
        value_of(first->queue_job({.type = "move", .payload = "{}"}, 0));
    std::atomic<int> taken = 0;
    std::atomic<int> wrong = 0;
    const auto work = [&](Catalog& catalog, const std::string& owner) {
        while (true) {
            const Catalog::LaneWant want{.lane = "move", .jobs = 3};
            const auto jobs = catalog.take_jobs({&want, 1}, owner, 0, 1000);
            if (!jobs) ++wrong;
            if (!jobs || jobs->empty()) return;
            for (const JobRecord& job : *jobs) {
                ++taken;
                if (job.attempts != 1) ++wrong;
                const auto finished = catalog.finish_job(job.id, owner, 1);
                if (!finished || !*finished) ++wrong;
            }
        }
    };
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back(
                [&, i] { work(i % 2 == 0 ? *first : *second, std::to_string(i)); });
        }
    }
    CHECK(taken == kJobs);
    CHECK(wrong == 0);
}

CATALOG_TEST("catalog: views add up and are worth half after a half-life", "[views]") {
    TestType backend;
    const auto catalog = backend.open();
    const Uuid image{1, 2, 3};
    const PoolId pool = make_pool(*catalog, "hot");
    value_of(catalog->put_image({.uuid = image, .pool = pool, .original = "a", .metadata = {}}));
    CHECK_FALSE(value_of(catalog->find_views(image)));
    value_of(
        catalog->add_views(std::vector{ViewUpdate{image, 8, 1000}, ViewUpdate{{9}, 1, 1}}, 100));
    value_of(catalog->add_views(std::vector{ViewUpdate{image, 2, 1000}}, 100));
    CHECK(value_of(catalog->find_views(image))->score == Approx(10));
    value_of(catalog->add_views(std::vector{ViewUpdate{image, 1, 1200}}, 100));
    CHECK(value_of(catalog->find_views(image))->score == Approx(3.5));
    value_of(catalog->add_views(std::vector{ViewUpdate{image, 1, 900}}, 100));  // a clock set back
    CHECK(value_of(catalog->find_views(image))->score == Approx(4.5));
    CHECK(value_of(catalog->find_views(image))->last_s == 1200);
    CHECK_FALSE(value_of(catalog->find_views({9})));  // of no image that is known
}

CATALOG_TEST("catalog: views go with their image, and do not come after it", "[views]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId pool = make_pool(*catalog, "hot");
    const ObjectRecord object =
        make_object("uploads/original/2026/02/25/0b1f6c2e-9a7d-4c55-8a3e-1234567890ab.jpg", pool);
    const std::vector update{ViewUpdate{object.image.value(), 1, 1000}};
    for (const bool by_deletion : {false, true}) {
        value_of(catalog->put_object(object));
        value_of(catalog->add_views(update, 100));
        CHECK(value_of(catalog->find_views(*object.image)));
        if (by_deletion) {
            value_of(
                catalog->begin_deletion(*object.image, {.type = "delete", .payload = "{}"}, 9));
            CHECK(value_of(catalog->unended_deletions({}, 10)) == std::vector{*object.image});
            CHECK(value_of(catalog->unended_deletions(*object.image, 10)).empty());
        }
        value_of(catalog->remove_object(object.key, pool));
        if (by_deletion) value_of(catalog->end_deletion(*object.image));
        value_of(catalog->add_views(update, 100));  // counted before, written down now
        CHECK_FALSE(value_of(catalog->find_views(*object.image)));
    }
    CHECK(value_of(catalog->unended_deletions({}, 10)).empty());
}

CATALOG_TEST("catalog: a day's budget is summed over processes and restarts", "[budget]") {
    TestType backend;
    const DayUse use{1, 2, 3, 1ULL << 40};
    PoolId pool = 0;
    {
        const auto first = backend.open();
        const auto second = backend.open();
        pool = make_pool(*first, "b2");
        CHECK(value_of(first->add_budget_use(pool, 20'000, use)) == use);
        value_of(second->add_budget_use(pool, 20'000, use));
        CHECK(value_of(second->add_budget_use(pool, 20'001, {})) == DayUse{});
    }
    const auto again = backend.open();
    CHECK(value_of(again->add_budget_use(pool, 20'000, {})) == DayUse{2, 4, 6, 1ULL << 41});
    const std::int64_t later = 20'000 + 1 + Catalog::kBudgetDays;
    value_of(again->add_budget_use(pool, later, {}));
    CHECK(value_of(again->add_budget_use(pool, 20'000, {})) == DayUse{2, 4, 6, 1ULL << 41});
    value_of(again->add_budget_use(pool, later, {.class_b_calls = 1}));
    CHECK(value_of(again->add_budget_use(pool, 20'000, {})) == DayUse{});
}

CATALOG_TEST("catalog: a scan's place is saved with its rows", "[scan]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId pool = make_pool(*catalog, "hot");
    CHECK_FALSE(value_of(catalog->find_scan(pool)));
    ScanRecord scan{
        .pool = pool, .next = "n1", .last_key = "uploads/a.jpg", .counts = "{}", .started_s = 7};
    value_of(catalog->adopt(std::vector{make_object("uploads/a.jpg", pool)},
                            [&](auto) { return scan; }));
    CHECK(value_of(catalog->find_scan(pool)) == scan);
    scan.next = "n2";
    CHECK_FALSE(
        catalog->adopt(std::vector{make_object("uploads/b.jpg", 99)}, [&](auto) { return scan; }));
    CHECK(value_of(catalog->find_scan(pool))->next == "n1");
    CHECK_FALSE(value_of(catalog->find("uploads/b.jpg")));
    value_of(catalog->end_scan(pool));
    CHECK_FALSE(value_of(catalog->find_scan(pool)));
}

CATALOG_TEST("catalog: a claim is one owner's until it runs out or is let go of", "[claims]") {
    TestType backend;
    const auto catalog = backend.open();
    CHECK(value_of(catalog->claim("variant a", "one", 1'000, 5'000)));
    CHECK_FALSE(value_of(catalog->claim("variant a", "two", 1'000, 5'000)));
    CHECK(value_of(catalog->claim("variant b", "two", 1'000, 5'000)));
    // Its owner may have it for longer.
    CHECK(value_of(catalog->claim("variant a", "one", 4'000, 9'000)));
    CHECK_FALSE(value_of(catalog->claim("variant a", "two", 8'999, 20'000)));
    CHECK(value_of(catalog->claim("variant a", "two", 9'000, 20'000)));
    // Who has lost it cannot take it from the next one.
    REQUIRE(catalog->release("variant a", "one"));
    CHECK_FALSE(value_of(catalog->claim("variant a", "one", 10'000, 20'000)));
    REQUIRE(catalog->release("variant a", "two"));
    CHECK(value_of(catalog->claim("variant a", "one", 10'000, 20'000)));
}

CATALOG_TEST("catalog: a claim of the dead, or of a clock that was ahead, is void", "[claims]") {
    TestType backend;
    const auto catalog = backend.open();
    CHECK(value_of(catalog->claim("w", "dead", 1'000, 5'000)));
    const auto has_ended = [](std::string_view owner) { return owner == "dead"; };
    CHECK_FALSE(value_of(catalog->claim("w", "two", 1'000, 5'000)));
    CHECK(value_of(catalog->claim("w", "two", 1'000, 5'000, has_ended)));
    CHECK_FALSE(value_of(catalog->claim("w", "three", 1'000, 5'000, has_ended)));
    // A day ahead: nobody else waits for that day.
    constexpr std::int64_t kAheadMs = 86'400'000;
    CHECK(value_of(catalog->claim("w", "two", 1'000 + kAheadMs, 5'000 + kAheadMs)));
    CHECK(value_of(catalog->claim("w", "three", 2'000, 6'000)));
    // Somewhat longer than one's own is no sign of it.
    CHECK(value_of(catalog->claim("w", "three", 2'000, 66'000)));
    CHECK_FALSE(value_of(catalog->claim("w", "four", 2'000, 6'000)));
}

CATALOG_TEST("catalog: of many who claim at once one is told yes", "[claims]") {
    TestType backend;
    const auto catalog = backend.open();
    std::atomic<int> winners = 0;
    std::vector<std::thread> threads;
    for (int number = 0; number < 8; ++number) {
        threads.emplace_back([&, number] {
            const auto claimed = catalog->claim("w", std::to_string(number), 1'000, 2'000);
            if (claimed && *claimed) ++winners;
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(winners == 1);
}
