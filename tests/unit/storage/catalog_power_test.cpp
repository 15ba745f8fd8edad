// What a catalog has on its disk when a call returns, and what becomes of it where that fails.
#include "tests/support/catalog_backends.h"
#include "tests/unit/failing_datasync.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::FailingDatasync;
using test::make_object;
using test::make_pool;
using test::value_of;

namespace {

std::vector<JobRecord> take(Catalog& catalog, const std::string& lane) {
    const Catalog::LaneWant want{.lane = lane};
    return value_of(catalog.take_jobs({&want, 1}, "me", 100, 30));
}

}  // namespace

TEST_CASE("catalog: who may copy has durably begun", "[storage][catalog][jobs]") {
    const test::SqliteBackend backend;
    const auto catalog = backend.open();
    for (const std::string lane : {"move 1>2", "backup 2", "purge", "clean 1"}) {
        const std::string type = lane.substr(0, lane.find(' '));
        value_of(catalog->queue_job({.type = type, .payload = {}, .lane = lane}, 0));
    }
    const auto syncs_of = [&](const std::string& lane, std::size_t jobs) {
        const FailingDatasync disk;
        CHECK(take(*catalog, lane).size() == jobs);
        return disk.calls();
    };
    CHECK(syncs_of("purge", 1) == 0);
    CHECK(syncs_of("clean 1", 1) == 0);
    CHECK(syncs_of("move 1>2", 1) == 1);
    CHECK(syncs_of("backup 2", 1) == 1);
    CHECK(syncs_of("move 1>2", 0) == 0);  // looking costs nothing
}

TEST_CASE("catalog: after its disk failed nothing counts behind what that may have lost",
          "[storage][catalog]") {
    const test::SqliteBackend backend;
    const auto catalog = backend.open();
    const PoolId pool = make_pool(*catalog, "hot");
    const std::string journal = backend.path() + "-wal";
    const auto object = [&](int number) {
        return make_object(fmt::format("uploads/original/2026/02/25/{}.jpg", number), pool);
    };
    std::vector<ObjectRecord> seen;
    for (int number = 0; number < 2000; ++number)
        seen.push_back(object(number));
    value_of(catalog->adopt(seen));
    const std::uintmax_t before = std::filesystem::file_size(journal);
    REQUIRE(before > 200'000);
    {
        const FailingDatasync disk(1);
        const auto refused = catalog->put_object(object(2000));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::io);
    }
    {
        const FailingDatasync disk(1);  // as it cannot be mended either
        const auto refused = catalog->put_object(object(2000));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::io);
    }
    value_of(catalog->put_object(object(2001)));
    CHECK(std::filesystem::file_size(journal) < before / 2);
    CHECK(value_of(catalog->list(pool, "uploads/", {}, 10'000)).size() == 2001);
    const std::uintmax_t mended = std::filesystem::file_size(journal);
    value_of(catalog->put_object(object(2002)));
    CHECK(std::filesystem::file_size(journal) > mended);  // it goes on
}

TEST_CASE("catalog: nor where its disk fails as the journal is written back",
          "[storage][catalog]") {
    const test::SqliteBackend backend;
    const auto catalog = backend.open();
    const PoolId pool = make_pool(*catalog, "hot");
    const std::string journal = backend.path() + "-wal";
    int number = 0;
    int calls = 0;
    while (calls == 0 && number < 100'000) {  // until there is that much in it
        std::vector<ObjectRecord> seen;
        for (int i = 0; i < 2000; ++i, ++number)
            seen.push_back(make_object(fmt::format("uploads/a/{:032x}", number * 7919), pool));
        const FailingDatasync disk(1);
        value_of(catalog->adopt(seen));  // not durable at once, so it stands whatever becomes of it
        calls = disk.calls();
    }
    REQUIRE(calls == 1);
    const std::uintmax_t before = std::filesystem::file_size(journal);
    REQUIRE(before > 4'000'000);
    value_of(catalog->put_object(make_object("uploads/b", pool)));
    CHECK(std::filesystem::file_size(journal) < before / 2);
    CHECK(value_of(catalog->accounts()).size() == 1);
}
