#include "proxy/loop/timer_wheel.h"

#include <memory>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::loop;

namespace {

constexpr std::uint64_t kStart = 1'000'000;
constexpr std::uint64_t kTick = TimerWheel::kTickMs;

struct Guarded {
    explicit Guarded(TimerWheel& wheel)
        : deadline(wheel, [](void* self) { ++static_cast<Guarded*>(self)->times; }, this) {}
    int times = 0;
    Deadline deadline;
};

}  // namespace

TEST_CASE("timer wheel: a deadline runs once, not before its time", "[loop][timer]") {
    TimerWheel wheel(kStart);
    for (const std::uint64_t wait :
         {std::uint64_t{0}, std::uint64_t{1}, kTick, 10 * kTick + 3, kTick * TimerWheel::kSlots,
          kTick * TimerWheel::kSlots * 3 + 17}) {
        CAPTURE(wait);
        TimerWheel own(kStart);
        Guarded guarded(own);
        guarded.deadline.set(kStart + wait);
        std::uint64_t now = kStart;
        while (now + kTick <= kStart + wait) {
            own.advance(now);
            REQUIRE(guarded.times == 0);
            now += kTick;
        }
        own.advance(now + kTick);
        own.advance(now + 2 * kTick);
        CHECK(guarded.times == 1);
        own.advance(now + 3 * kTick * TimerWheel::kSlots);
        CHECK(guarded.times == 1);
    }
}

TEST_CASE("timer wheel: a deadline can be moved and cleared", "[loop][timer]") {
    TimerWheel wheel(kStart);
    Guarded later(wheel);
    Guarded sooner(wheel);
    Guarded never(wheel);
    later.deadline.set(kStart + 100);
    later.deadline.set(kStart + 1000);
    sooner.deadline.set(kStart + 1000);
    sooner.deadline.set(kStart + 100);
    never.deadline.set(kStart + 100);
    never.deadline.clear();
    for (std::uint64_t now = kStart; now < kStart + 500; now += kTick)
        wheel.advance(now);
    CHECK(later.times == 0);
    CHECK(sooner.times == 1);
    for (std::uint64_t now = kStart + 500; now < kStart + 1200; now += kTick)
        wheel.advance(now);
    CHECK(later.times == 1);
    CHECK(sooner.times == 1);
    CHECK(never.times == 0);
}

TEST_CASE("timer wheel: a callback may destroy, set and clear", "[loop][timer]") {
    TimerWheel wheel(kStart);
    struct Own {
        explicit Own(TimerWheel& wheel)
            : deadline(wheel, [](void* self) { static_cast<Own*>(self)->run(); }, this) {}
        void run() {
            ++times;
            victim.reset();
            if (times < 3) deadline.set(kStart + static_cast<std::uint64_t>(times) * 200);
        }
        int times = 0;
        Deadline deadline;
        std::unique_ptr<Guarded> victim;
    };
    Own own(wheel);
    own.victim = std::make_unique<Guarded>(wheel);
    own.victim->deadline.set(kStart + 50);  // in the same slot as its destroyer
    own.deadline.set(kStart + 50);
    for (std::uint64_t now = kStart; now < kStart + 1000; now += kTick)
        wheel.advance(now);
    CHECK(own.times == 3);
    CHECK(own.victim == nullptr);
}

TEST_CASE("timer wheel: a clock that jumps runs everything that is due", "[loop][timer]") {
    TimerWheel wheel(kStart);
    std::vector<std::unique_ptr<Guarded>> many;
    for (std::uint64_t i = 0; i < 2000; ++i) {
        many.push_back(std::make_unique<Guarded>(wheel));
        many.back()->deadline.set(kStart + i * 37);
    }
    wheel.advance(kStart + 40'000);
    wheel.advance(kStart + 40'000 + kTick);
    for (std::uint64_t i = 0; i < 2000; ++i) {
        CAPTURE(i);
        CHECK(many[i]->times == (i * 37 <= 40'000 + kTick ? 1 : 0));
    }
}
