#include "proxy/serve/refresh_plan.h"

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using namespace std::chrono_literals;
using Time = RefreshPlan::Time;

namespace {

const Time kStart = Time(1000h);
const Error kPassing{ErrorKind::io, "503"};
const Error kLasting{ErrorKind::denied, "401"};

RefreshPlan plan(double random = 0) {
    return RefreshPlan([random] { return random; });
}

}  // namespace

TEST_CASE("refresh plan: the first token is fetched at once", "[serve][b2]") {
    CHECK(plan().due(false) <= kStart);
    CHECK(plan().due(true) <= kStart);
}

TEST_CASE("refresh plan: a token is renewed between a half and two thirds of its life",
          "[serve][b2]") {
    for (const auto& [random, wanted] : {std::pair(0.0, 12h), std::pair(0.999999, 16h)}) {
        RefreshPlan each = plan(random);
        each.began(kStart);
        each.succeeded(kStart, 24h);
        CHECK(each.due(false) >= kStart + wanted - 1min);
        CHECK(each.due(false) <= kStart + wanted);
        CHECK(each.due(true) <= kStart);  // who cannot go on need not wait for that
    }
}

TEST_CASE("refresh plan: failures wait longer each time, up to a bound", "[serve][b2]") {
    for (const double random : {0.0, 0.999}) {
        for (const Error& error : {kPassing, kLasting}) {
            RefreshPlan each = plan(random);
            const auto most = error.may_retry() ? 60s : 300s;
            auto bound = 1s;
            for (int i = 0; i < 40; ++i) {
                each.failed(kStart, error);
                const auto wait = each.due(true) - kStart;
                CHECK(wait >= bound / 2);
                CHECK(wait <= bound);
                CHECK(each.due(false) == each.due(true));
                bound = std::min<std::chrono::seconds>(bound * 2, most);
            }
            each.succeeded(kStart, 24h);
            CHECK(each.due(true) <= kStart);
            each.failed(kStart, error);
            CHECK(each.due(true) - kStart <= 1s);
        }
    }
}

TEST_CASE("refresh plan: a renewal that fails comes again before the token ends", "[serve][b2]") {
    RefreshPlan each = plan();
    each.succeeded(kStart, 24h);
    each.failed(kStart + 12h, kPassing);
    CHECK(each.due(false) > kStart + 12h);
    CHECK(each.due(false) <= kStart + 12h + 1s);
}

TEST_CASE("refresh plan: what the store asks for is the least, within a bound", "[serve][b2]") {
    StoreDetail detail;
    detail.retry_after = 30s;
    Error error = fail(ErrorKind::overloaded, "429", detail).error();
    RefreshPlan each = plan();
    each.failed(kStart, error);
    CHECK(each.due(true) == kStart + 30s);
    detail.retry_after = 24h;  // a budget that is used up: another configuration may end that
    error = fail(ErrorKind::capped, "budget", detail).error();
    each.failed(kStart, error);
    CHECK(each.due(true) == kStart + 300s);
}

TEST_CASE("refresh plan: no more rounds a minute than are allowed, whoever wants them",
          "[serve][b2]") {
    RefreshPlan each = plan();
    Time now = kStart;
    for (std::size_t i = 0; i < RefreshPlan::kMostAMinute; ++i) {
        REQUIRE(each.due(true) <= now);
        each.began(now);
        each.succeeded(now, 24h);
        now += 1s;
    }
    CHECK(each.due(true) == kStart + 1min);
    now = each.due(true);
    each.began(now);
    each.succeeded(now, 24h);
    CHECK(each.due(true) == kStart + 1min + 1s);
}

TEST_CASE("refresh plan: renewals of the shortest lifetime are never too many", "[serve][b2]") {
    RefreshPlan each = plan();  // as early as can be
    Time now = kStart;
    for (int i = 0; i < 100; ++i) {
        each.began(now);
        each.succeeded(now, 20s);
        CHECK(each.due(false) == now + 10s);
        now = each.due(false);
    }
}
