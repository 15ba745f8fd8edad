#include "storage/budget.h"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

constexpr std::int64_t kMidnight = 1369353600;

conf::PoolSettings pool() {
    conf::PoolSettings settings;
    settings.daily_class_b_calls = 10;
    settings.daily_class_c_calls = 5;
    settings.daily_egress_bytes = 1000;
    return settings;
}

}  // namespace

TEST_CASE("budget: warned once, then capped until midnight UTC", "[storage][budget]") {
    Budget budget(pool());
    for (int i = 0; i < 7; ++i)
        CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::warn);  // 8 of 10
    CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.take(CallClass::b, kMidnight + 86'399) == BudgetVerdict::capped);
    CHECK(budget.use(kMidnight + 86'399).used[1] == 10);
    CHECK(budget.use(kMidnight + 86'399).refused[1] == 1);
    CHECK(budget.take(CallClass::b, kMidnight + 86'400) == BudgetVerdict::ok);
    CHECK(budget.use(kMidnight + 86'400).used[1] == 1);
}

TEST_CASE("budget: classes are counted apart, and none has no limit", "[storage][budget]") {
    Budget budget(pool());
    for (int i = 0; i < 100'000; ++i)
        REQUIRE(budget.take(CallClass::a, kMidnight) == BudgetVerdict::ok);
    for (int i = 0; i < 5; ++i)
        CHECK(budget.take(CallClass::c, kMidnight) != BudgetVerdict::capped);
    CHECK(budget.take(CallClass::c, kMidnight) == BudgetVerdict::capped);
    CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.use(kMidnight).used[0] == 100'000);
}

TEST_CASE("budget: used up egress caps reading and nothing else", "[storage][budget]") {
    Budget budget(pool());
    CHECK(budget.add_egress(799, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.add_egress(1, kMidnight) == BudgetVerdict::warn);
    CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.add_egress(5000, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.take(CallClass::b, kMidnight) == BudgetVerdict::capped);
    CHECK(budget.take(CallClass::a, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.take(CallClass::c, kMidnight) == BudgetVerdict::ok);
}

TEST_CASE("budget: a clock set back gives no second budget", "[storage][budget]") {
    Budget budget(pool());
    for (int i = 0; i < 10; ++i)
        budget.take(CallClass::b, kMidnight);
    CHECK(budget.take(CallClass::b, kMidnight - 1) == BudgetVerdict::capped);
}

TEST_CASE("budget: what was saved today counts, what is older does not", "[storage][budget]") {
    Budget before(pool());
    for (int i = 0; i < 9; ++i)
        before.take(CallClass::b, kMidnight);
    const BudgetUse saved = before.use(kMidnight);
    Budget today(pool());
    today.restore(saved, kMidnight + 100);
    CHECK(today.take(CallClass::b, kMidnight + 100) == BudgetVerdict::ok);
    CHECK(today.take(CallClass::b, kMidnight + 100) == BudgetVerdict::capped);
    Budget tomorrow(pool());
    tomorrow.restore(saved, kMidnight + 86'400);
    CHECK(tomorrow.use(kMidnight + 86'400).used[1] == 0);
}

TEST_CASE("budget: until midnight", "[storage][budget]") {
    CHECK(Budget::until_reset(kMidnight).count() == 86'400);
    CHECK(Budget::until_reset(kMidnight + 86'399).count() == 1);
}

TEST_CASE("budget: the greatest limits do not overflow", "[storage][budget]") {
    conf::PoolSettings settings;
    settings.daily_egress_bytes = 1ULL << 50;
    Budget budget(settings);
    CHECK(budget.add_egress((1ULL << 50) / 10 * 8 - 100, kMidnight) == BudgetVerdict::ok);
    CHECK(budget.add_egress(200, kMidnight) == BudgetVerdict::warn);
}

TEST_CASE("budget: many threads get no more than there is", "[storage][budget]") {
    conf::PoolSettings settings;
    settings.daily_class_b_calls = 1000;
    Budget budget(settings);
    std::vector<std::thread> threads;
    std::vector<int> taken(4);
    for (int& count : taken) {
        threads.emplace_back([&budget, &count] {
            for (int k = 0; k < 1000; ++k)
                count += budget.take(CallClass::b, kMidnight) != BudgetVerdict::capped ? 1 : 0;
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(taken[0] + taken[1] + taken[2] + taken[3] == 1000);
}
