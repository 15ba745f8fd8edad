#include "storage/breaker.h"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::storage;
using namespace std::chrono_literals;

namespace {

const Breaker::Time kStart{1h};

void call(Breaker& breaker, Outcome outcome, Breaker::Time now, int times = 1) {
    for (int i = 0; i < times; ++i) {
        if (breaker.allow(now)) breaker.report(outcome, now);
    }
}

}  // namespace

TEST_CASE("breaker: few calls open nothing, many failures do", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::failed, kStart, 19);
    CHECK(breaker.allow(kStart));
    call(breaker, Outcome::failed, kStart);
    CHECK_FALSE(breaker.allow(kStart));
    CHECK(breaker.state(kStart) == Breaker::State::open);
    CHECK(breaker.retry_after(kStart) == 5s);
    CHECK(breaker.times_opened() == 1);
    CHECK_FALSE(breaker.is_capped());
}

TEST_CASE("breaker: a fifth of failures is borne, more is not", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::answered, kStart, 80);
    call(breaker, Outcome::failed, kStart, 20);
    CHECK(breaker.state(kStart) == Breaker::State::closed);
    call(breaker, Outcome::failed, kStart);
    CHECK(breaker.state(kStart) == Breaker::State::open);
}

TEST_CASE("breaker: what is older than the window is forgotten", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::failed, kStart, 19);
    call(breaker, Outcome::answered, kStart + 31s);
    call(breaker, Outcome::failed, kStart + 31s, 18);
    CHECK(breaker.state(kStart + 31s) == Breaker::State::closed);
    call(breaker, Outcome::failed, kStart + 31s);
    CHECK(breaker.state(kStart + 31s) == Breaker::State::open);
}

TEST_CASE("breaker: one probe at a time, and its end decides", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::failed, kStart, 20);
    auto now = kStart + 5s;
    CHECK(breaker.state(now) == Breaker::State::half_open);
    CHECK(breaker.allow(now));
    CHECK_FALSE(breaker.allow(now));
    breaker.report(Outcome::failed, now);
    CHECK(breaker.retry_after(now) == 10s);  // twice as long as before
    now += 10s;
    CHECK(breaker.allow(now));
    breaker.report(Outcome::answered, now);
    CHECK(breaker.state(now) == Breaker::State::closed);
    CHECK(breaker.retry_after(now) == 0s);
    call(breaker, Outcome::failed, now, 19);  // the failures of before are gone
    CHECK(breaker.state(now) == Breaker::State::closed);
}

TEST_CASE("breaker: the time between probes has a limit", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::failed, kStart, 20);
    auto now = kStart;
    for (int i = 0; i < 20; ++i) {
        now += breaker.retry_after(now);
        REQUIRE(breaker.allow(now));
        breaker.report(Outcome::failed, now);
    }
    CHECK(breaker.retry_after(now) == 120s);
}

TEST_CASE("breaker: a probe that never ends is followed by another", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::failed, kStart, 20);
    CHECK(breaker.allow(kStart + 5s));
    CHECK_FALSE(breaker.allow(kStart + 64s));
    CHECK(breaker.allow(kStart + 65s));
}

TEST_CASE("breaker: a cap opens it at once", "[storage][breaker]") {
    Breaker breaker;
    call(breaker, Outcome::answered, kStart, 1000);
    call(breaker, Outcome::capped, kStart);
    CHECK(breaker.is_capped());
    CHECK_FALSE(breaker.allow(kStart + 599s));
    CHECK(breaker.allow(kStart + 600s));
    breaker.report(Outcome::capped, kStart + 600s);
    CHECK(breaker.retry_after(kStart + 600s) == 600s);
    CHECK(breaker.allow(kStart + 1200s));
    breaker.report(Outcome::answered, kStart + 1200s);
    CHECK_FALSE(breaker.is_capped());
}

TEST_CASE("breaker: calls from before it opened do not close it", "[storage][breaker]") {
    Breaker breaker;
    CHECK(breaker.allow(kStart));  // slow, and a success in the end
    call(breaker, Outcome::failed, kStart, 20);
    breaker.report(Outcome::answered, kStart + 1s);
    CHECK_FALSE(breaker.allow(kStart + 1s));
}

TEST_CASE("breaker: many threads", "[storage][breaker]") {
    Breaker breaker;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 2000; ++k)
                call(breaker, k % 10 == 0 ? Outcome::failed : Outcome::answered, kStart);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(breaker.state(kStart) == Breaker::State::closed);
}
