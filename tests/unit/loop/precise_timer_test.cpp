#include "proxy/loop/precise_timer.h"

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::loop;
using namespace std::chrono_literals;

namespace {

// Rings, and may do more then.
struct Bell {
    explicit Bell(Loop& loop)
        : timer(loop, [](void* self) { static_cast<Bell*>(self)->ring(); }, this) {}
    void ring() {
        ++times;
        if (then) then();
    }
    int times = 0;
    std::move_only_function<void()> then;
    PreciseTimer timer;
};

}  // namespace

TEST_CASE("precise timer: rings once, and not too early", "[loop][timer]") {
    Loop loop;
    Bell bell(loop);
    bell.then = [&] { loop.stop(); };
    const auto start = std::chrono::steady_clock::now();
    loop.post([&] { bell.timer.start(30); });
    loop.run();
    CHECK(bell.times == 1);
    CHECK(std::chrono::steady_clock::now() - start >= 29ms);  // libuv's clock has whole ones
}

TEST_CASE("precise timer: to the millisecond, in order", "[loop][timer]") {
    Loop loop;
    std::vector<int> order;
    Bell third(loop);
    Bell first(loop);
    Bell second(loop);
    first.then = [&] { order.push_back(1); };
    second.then = [&] { order.push_back(2); };
    third.then = [&] {
        order.push_back(3);
        loop.stop();
    };
    loop.post([&] {
        third.timer.start(6);
        first.timer.start(0);
        second.timer.start(3);
    });
    loop.run();
    CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("precise timer: set anew it rings at the later time, stopped or destroyed not at all",
          "[loop][timer]") {
    Loop loop;
    Bell anew(loop);
    Bell stopped(loop);
    auto destroyed = std::make_unique<Bell>(loop);
    Bell last(loop);
    last.then = [&] {
        CHECK(anew.times == 0);
        anew.timer.start(1);
    };
    anew.then = [&] { loop.stop(); };
    loop.post([&] {
        anew.timer.start(1);
        anew.timer.start(10'000);
        stopped.timer.start(1);
        stopped.timer.stop();
        destroyed->timer.start(1);
        destroyed.reset();
        last.timer.start(20);
    });
    loop.run();
    CHECK(anew.times == 1);
    CHECK(stopped.times == 0);
    CHECK(last.times == 1);
}

TEST_CASE("precise timer: its callback may start it again, or destroy it", "[loop][timer]") {
    Loop loop;
    auto bell = std::make_unique<Bell>(loop);
    int rung = 0;
    bell->then = [&] {
        if (++rung < 3) {
            bell->timer.start(1);
        } else {
            loop.post([&] {
                bell.reset();
                loop.stop();
            });
        }
    };
    bell->timer.start(1);
    loop.run();
    CHECK(rung == 3);
    CHECK(bell == nullptr);
}
