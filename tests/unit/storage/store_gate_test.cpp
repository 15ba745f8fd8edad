#include "storage/store_gate.h"

#include <chrono>
#include <cstdint>
#include <memory>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t kNoon = 20'000LL * 86'400 + 43'200;
constexpr StoreCall kCall{.pool = "b2", .key = "a.jpg", .method = "GET"};
const Breaker::Time kStart = Breaker::Time(1h);

// Opens after one failure, for a second.
BreakerLimits quick_limits() {
    BreakerLimits limits;
    limits.min_calls = 1;
    limits.open_for = 1s;
    return limits;
}

struct Ground {
    explicit Ground(std::int64_t daily_class_b_calls) {
        conf::PoolSettings settings;
        settings.daily_class_b_calls = daily_class_b_calls;
        gate = std::make_unique<StoreGate>(settings, quick_limits());
    }
    Result<void> pass(Breaker::Time now) const {
        return gate->pass(gate->reads, kCall, CallClass::b, now, kNoon);
    }
    std::uint64_t used() const { return gate->budget.use(kNoon).used[1]; }
    std::unique_ptr<StoreGate> gate;
};

}  // namespace

TEST_CASE("store gate: what the breaker refuses does not count against the day", "[storage]") {
    const Ground ground(10);
    REQUIRE(ground.pass(kStart));
    ground.gate->reads.report(Outcome::failed, kStart);
    for (int i = 0; i < 20; ++i) {
        const auto refused = ground.pass(kStart + 100ms);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::overloaded);
        CHECK(refused.error().store->retry_after == 1s);
    }
    CHECK(ground.used() == 1);
    CHECK(ground.gate->budget.use(kNoon).refused[1] == 0);
}

TEST_CASE("store gate: what the budget refuses leaves the breaker's probe to others", "[storage]") {
    const Ground ground(1);
    REQUIRE(ground.pass(kStart));
    ground.gate->reads.report(Outcome::failed, kStart);
    for (int i = 0; i < 3; ++i) {
        const auto refused = ground.pass(kStart + 2s);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::capped);
        CHECK(refused.error().store->retry_after == Budget::until_reset(kNoon));
    }
    CHECK(ground.gate->reads.allow(kStart + 2s));
    CHECK_FALSE(ground.gate->reads.allow(kStart + 2s));
}

TEST_CASE("store gate: reads and writes are judged apart", "[storage]") {
    const Ground ground(0);
    ground.gate->writes.report(Outcome::capped, kStart);
    CHECK(ground.pass(kStart));
    const auto refused = ground.gate->pass(ground.gate->writes, kCall, CallClass::a, kStart, kNoon);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::capped);
}
