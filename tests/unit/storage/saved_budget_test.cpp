#include "storage/saved_budget.h"

#include "tests/support/catalog_backends.h"

#include <memory>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::value_of;

namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kNoon = 20'000 * kDay + kDay / 2;

// A process: its catalog and its budget of the pool.
struct Process {
    explicit Process(const test::SqliteBackend& backend)
        : catalog(backend.open()), pool(test::make_pool(*catalog, "b2")) {
        value_of(saved.exchange(kNoon));
    }
    std::uint64_t used(std::size_t item, std::int64_t now = kNoon) const {
        return gate->budget.use(now).used[item];
    }
    std::unique_ptr<Catalog> catalog;
    PoolId pool;
    std::shared_ptr<StoreGate> gate = std::make_shared<StoreGate>(conf::PoolSettings{});
    SavedBudget saved{*catalog, pool, gate};
};

}  // namespace

TEST_CASE("saved budget: a restart does not forget the day's use", "[storage][catalog]") {
    const test::SqliteBackend backend;
    {
        Process process(backend);
        process.gate->budget.take(CallClass::a, kNoon);
        process.gate->budget.take(CallClass::c, kNoon);
        process.gate->budget.add_egress(1000, kNoon);
        value_of(process.saved.exchange(kNoon));
        value_of(process.saved.exchange(kNoon));  // twice is once
    }
    const Process again(backend);
    CHECK(again.used(0) == 1);
    CHECK(again.used(1) == 0);
    CHECK(again.used(2) == 1);
    CHECK(again.used(kEgressItem) == 1000);
}

TEST_CASE("saved budget: several processes count together", "[storage][catalog]") {
    const test::SqliteBackend backend;
    Process first(backend);
    Process second(backend);
    first.gate->budget.take(CallClass::b, kNoon);
    second.gate->budget.take(CallClass::b, kNoon);
    value_of(first.saved.exchange(kNoon));
    value_of(second.saved.exchange(kNoon));
    CHECK(second.used(1) == 2);
    value_of(first.saved.exchange(kNoon));
    CHECK(first.used(1) == 2);
    second.gate->budget.take(CallClass::b, kNoon);
    value_of(second.saved.exchange(kNoon));
    value_of(first.saved.exchange(kNoon));
    CHECK(first.used(1) == 3);
}

TEST_CASE("saved budget: a new day begins at nothing", "[storage][catalog]") {
    const test::SqliteBackend backend;
    Process process(backend);
    process.gate->budget.take(CallClass::b, kNoon);
    value_of(process.saved.exchange(kNoon));
    value_of(process.saved.exchange(kNoon + kDay));
    CHECK(process.used(1, kNoon + kDay) == 0);
    process.gate->budget.take(CallClass::b, kNoon + kDay);
    value_of(process.saved.exchange(kNoon + kDay));
    CHECK(process.used(1, kNoon + kDay) == 1);
}
