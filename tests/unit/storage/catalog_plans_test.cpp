// How SQLite finds what is asked of the jobs, of which there may be many millions: by indexes
// alone.
#include "tests/support/catalog_backends.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sqlite3.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::value_of;
using State = JobRecord::State;

namespace {

// The statements that were run on connections which were opened while it is there.
class Statements {
  public:
    Statements() {
        all().clear();
        sqlite3_auto_extension(reinterpret_cast<void (*)()>(&watch));
    }
    ~Statements() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(&watch)); }
    Statements(const Statements&) = delete;
    Statements& operator=(const Statements&) = delete;

    static std::set<std::string>& all() {
        static std::set<std::string> statements;
        return statements;
    }

  private:
    static int watch(sqlite3* db, const char**, const void*) {
        return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, &note, nullptr);
    }
    static int note(unsigned, void*, void* statement, void*) {
        all().insert(sqlite3_sql(static_cast<sqlite3_stmt*>(statement)));
        return 0;
    }
};

struct Bench {
    // The steps of what the calls ask of the table of jobs, each with the statement that it is of.
    std::vector<std::string> steps(const std::function<void()>& calls) {
        Statements::all().clear();
        calls();
        std::vector<std::string> found;
        for (const std::string& sql : Statements::all()) {
            for (const std::string& step : plan_of(sql))
                found.push_back(step + "   of: " + sql);
        }
        return found;
    }

    // Those that go through jobs that are not asked for.
    std::vector<std::string> long_walks(const std::function<void()>& calls) {
        auto walks = steps(calls);
        REQUIRE_FALSE(walks.empty());
        std::erase_if(walks, [](const std::string& step) {
            const bool is_found =
                step.starts_with("SEARCH jobs USING") &&
                !step.starts_with("SEARCH jobs USING INTEGER PRIMARY KEY (rowid>?)");
            // Of what runs, which is not much.
            const bool is_of_held = step.starts_with("SCAN jobs USING INDEX jobs_leased") ||
                                    step.starts_with("SCAN jobs USING COVERING INDEX jobs_leased");
            // How two lists of those of one name, which are few, are put together.
            const bool is_of_named = step.contains("dedup_key >= ?1") && !step.starts_with("SCAN");
            return is_found || is_of_held || is_of_named;
        });
        return walks;
    }

    std::vector<std::string> plan_of(const std::string& sql) {
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open(backend.path().c_str(), &db) == SQLITE_OK);
        sqlite3_stmt* statement = nullptr;
        std::vector<std::string> steps;
        bool is_of_jobs = false;
        if (sqlite3_prepare_v2(db, ("EXPLAIN QUERY PLAN " + sql).c_str(), -1, &statement,
                               nullptr) == SQLITE_OK) {
            while (sqlite3_step(statement) == SQLITE_ROW) {
                steps.emplace_back(
                    reinterpret_cast<const char*>(sqlite3_column_text(statement, 3)));
                is_of_jobs = is_of_jobs || steps.back().find(" jobs") != std::string::npos;
            }
        }
        sqlite3_finalize(statement);
        sqlite3_close(db);
        if (!is_of_jobs) steps.clear();
        return steps;
    }

    Statements statements;
    test::SqliteBackend backend;
    std::unique_ptr<Catalog> catalog = backend.open();
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("catalog plans: jobs are listed by indexes, in their order", "[storage][catalog][jobs]") {
    Bench bench;
    for (const char* batch : {"", "b"}) {
        for (const char* type : {"move", "clean"})
            value_of(bench.catalog->queue_job({.type = type, .payload = "{}", .batch = batch}, 0));
    }
    for (const char* type : {"", "move"}) {
        for (const char* batch : {"", "b"}) {
            for (const std::optional<State> state :
                 {std::optional<State>(), std::optional(State::queued)}) {
                const JobFilter filter{.type = type, .batch = batch, .state = state};
                if (filter.type.empty() && filter.batch.empty() && !filter.state) continue;
                CAPTURE(filter.type, filter.batch, filter.state.has_value());
                CHECK(bench.long_walks([&] {
                    CHECK_FALSE(value_of(bench.catalog->list_jobs(filter, 10)).empty());
                }) == Texts{});
            }
        }
    }
    SECTION("all of them are, by their ids") {
        const auto steps =
            bench.steps([&] { CHECK(value_of(bench.catalog->list_jobs({}, 10)).size() == 4); });
        for (const std::string& step : steps)
            CHECK_THAT(step, Catch::StartsWith("SEARCH jobs USING INTEGER PRIMARY KEY"));
    }
}

TEST_CASE("catalog plans: to count jobs none is looked at", "[storage][catalog][jobs]") {
    Bench bench;
    value_of(bench.catalog->queue_job({.type = "move", .payload = "{}", .batch = "b"}, 0));
    CHECK(bench.steps([&] {
        CHECK(value_of(bench.catalog->count_jobs("")).size() == 1);
        CHECK(value_of(bench.catalog->count_jobs("b")).size() == 1);
        CHECK(value_of(bench.catalog->count_batches("b")).size() == 1);
    }) == Texts{});
}

TEST_CASE("catalog plans: what runners and sweeps ask for is found by indexes",
          "[storage][catalog][jobs]") {
    Bench bench;
    Catalog& catalog = *bench.catalog;
    const PoolId hot = test::make_pool(catalog, "hot");
    const std::string uuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";
    value_of(
        catalog.put_object(test::make_object("uploads/original/2026/02/25/" + uuid + ".jpg", hot)));
    const NewJob job{.type = "move", .payload = "{}", .dedup_key = "move one"};
    const JobId id = value_of(catalog.queue_job(job, 0));
    const Catalog::LaneWant want{.lane = "move"};
    CHECK(bench.long_walks([&] {
        value_of(catalog.queue_job(job, 0));
        value_of(catalog.bring_jobs_forward(-1));
        value_of(catalog.open_lanes());
        value_of(catalog.open_in("move"));
        REQUIRE(value_of(catalog.take_jobs({&want, 1}, "me", 0, 30)).size() == 1);
        value_of(catalog.lease_owners());
        value_of(catalog.drop_leases("me", 0));
        REQUIRE(value_of(catalog.take_jobs({&want, 1}, "me", 0, 30)).size() == 1);
        value_of(catalog.fail_job(id, "me", {.error_class = "denied", .text = "no"}, 1));
        value_of(catalog.coldest_images({.pool = hot, .limit = 1, .failed_since_s = 0}));
        value_of(catalog.set_job_state(id, State::queued, 2));
        value_of(catalog.jobs_named("move one"));
        value_of(catalog.forget_jobs(4));
    }) == Texts{});
}
