#include "storage/retry.h"

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using namespace std::chrono_literals;

namespace {

const StoreCall kCall{.pool = "cold", .key = "a", .method = "GET"};
const RetryPlan::Time kStart{1h};

StoreFailure failure(int status, std::string_view retry_after = "") {
    return failure_of(kCall, {.status = status, .retry_after = retry_after});
}

double most() {
    return 0.999999999;
}
double least() {
    return 0;
}

}  // namespace

TEST_CASE("retry: the bound doubles up to its limit", "[storage][retry]") {
    RetryPlan plan({.tries = 9, .budget = 1h}, most, kStart);
    for (const auto bound : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 64s}) {
        const auto wait = plan.next(failure(503), kStart);
        REQUIRE(wait);
        CHECK(*wait <= bound);
        CHECK(*wait >= bound - 2ms);
    }
    CHECK_FALSE(plan.next(failure(503), kStart));
    CHECK(plan.tries() == 9);
}

TEST_CASE("retry: jitter is full", "[storage][retry]") {
    RetryPlan plan({}, least, kStart);
    CHECK(plan.next(failure(500), kStart) == 0ms);
    RetryPlan half({}, [] { return 0.5; }, kStart);
    CHECK(half.next(failure(500), kStart) == 500ms);
}

TEST_CASE("retry: the store's wish is the least, within the limit", "[storage][retry]") {
    RetryPlan plan({}, least, kStart);
    CHECK(plan.next(failure(503, "7"), kStart) == 7s);
    CHECK(plan.next(failure(429, "100000"), kStart) == 64s);
}

TEST_CASE("retry: no try begins after the budget", "[storage][retry]") {
    RetryPlan plan({.budget = 10s}, least, kStart);
    CHECK(plan.next(failure(503, "9"), kStart));
    CHECK_FALSE(plan.next(failure(503, "9"), kStart + 9s));
    CHECK(plan.next(failure(503), kStart + 9s));
    CHECK_FALSE(plan.next(failure(503), kStart + 11s));
}

TEST_CASE("retry: what cannot change is not tried again", "[storage][retry]") {
    for (const int status : {400, 403, 404, 409, 412, 416, 501}) {
        RetryPlan plan({}, most, kStart);
        CHECK_FALSE(plan.next(failure(status), kStart));
    }
}

TEST_CASE("retry: clock and token are mended once, at once", "[storage][retry]") {
    RetryPlan plan({}, most, kStart);
    const StoreFailure skewed = failure_of(
        kCall, {.status = 403, .body = "<Error><Code>RequestTimeTooSkewed</Code></Error>"});
    CHECK(plan.next(skewed, kStart) == 0ms);
    CHECK_FALSE(plan.next(skewed, kStart));
    CHECK(plan.next(failure(401), kStart) == 0ms);
    CHECK_FALSE(plan.next(failure(401), kStart));
    CHECK(plan.next(failure(503), kStart));
}

TEST_CASE("retry: a token that has ended is replaced however few tries there are",
          "[storage][retry]") {
    RetryPlan plan({.tries = 1}, most, kStart);
    CHECK(plan.next(failure(401), kStart) == 0ms);
    CHECK_FALSE(plan.next(failure(401), kStart));
    CHECK_FALSE(plan.next(failure(503), kStart));
}

TEST_CASE("retry: very many tries do not overflow", "[storage][retry]") {
    RetryPlan plan({.tries = 1000, .first = 60s, .budget = 24h * 365}, most, kStart);
    for (int i = 1; i < 1000; ++i) {
        const auto wait = plan.next(failure(503), kStart);
        REQUIRE(wait);
        CHECK(*wait <= 64s);
    }
}
