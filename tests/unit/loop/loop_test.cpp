#include "proxy/loop/loop.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool::loop;

namespace {

void run(Loop& loop, Task<> task) {
    loop.tasks().spawn(std::move(task));
    loop.stop();
    loop.run();
}

// Counts what it is told, and reads it away.
class Counting final : public Watcher {
  public:
    Counting(Loop& loop, int fd) : loop_(loop), fd_(fd) {}
    void on_events(std::uint32_t events) override {
        ++told;
        seen |= events;
        std::array<char, 64> buffer{};
        while (read(fd_, buffer.data(), buffer.size()) > 0) {
        }
        if (then) loop_.post(std::move(then));
    }
    int told = 0;
    std::uint32_t seen = 0;
    std::move_only_function<void()> then;

  private:
    Loop& loop_;
    int fd_;
};

// Keeps the processor for so long.
void spend(std::uint64_t time_ns) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(time_ns);
    while (std::chrono::steady_clock::now() < end) {
    }
}

struct Pair {
    Pair() {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) ==
                0);
    }
    ~Pair() {
        close(ends[0]);
        close(ends[1]);
    }
    void say() const { REQUIRE(write(ends[1], "x", 1) == 1); }
    std::array<int, 2> ends{};
};

}  // namespace

TEST_CASE("loop: one that was stopped before it ran returns", "[loop]") {
    Loop loop;
    loop.stop();
    loop.run();
    SUCCEED("it returned");
}

TEST_CASE("loop: one that never ran can be destroyed, also with work posted", "[loop]") {
    const auto token = std::make_shared<int>(0);
    {
        Loop loop;
        loop.post([token] {});
    }
    CHECK(token.use_count() == 1);
}

TEST_CASE("loop: stopping waits for the tasks", "[loop]") {
    Loop loop;
    std::vector<std::string> notes;
    const auto task = [&]() -> Task<> {
        co_await loop.yield();
        co_await loop.delay(1);
        notes.emplace_back("task ended");
    };
    run(loop, task());
    notes.emplace_back("loop ended");
    CHECK(notes == std::vector<std::string>{"task ended", "loop ended"});
    CHECK(loop.tasks().running() == 0);
}

TEST_CASE("loop: posted work runs once, in order, and may post more", "[loop]") {
    Loop loop;
    std::vector<int> ran;
    loop.post([&] {
        ran.push_back(1);
        loop.post([&] {
            ran.push_back(3);
            loop.stop();
        });
    });
    loop.post([&] { ran.push_back(2); });
    CHECK(ran.empty());  // never from inside post()
    loop.run();
    CHECK(ran == std::vector<int>{1, 2, 3});
}

TEST_CASE("loop: work posted by another thread wakes it", "[loop]") {
    Loop loop;
    std::thread::id ran_on;
    std::jthread other([&] {
        loop.post([&] {
            ran_on = std::this_thread::get_id();
            loop.stop();
        });
    });
    loop.run();
    CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE("loop: delays end in the order of their times, never early", "[loop]") {
    Loop loop;
    std::vector<std::uint64_t> ended;
    std::vector<bool> early;
    const auto wait = [&](std::uint64_t wait_ms) -> Task<> {
        const std::uint64_t begun = loop.now_ms();
        co_await loop.delay(wait_ms);
        ended.push_back(wait_ms);
        early.push_back(loop.now_ms() < begun + wait_ms);
    };
    for (const std::uint64_t wait_ms : {350U, 1U, 200U, 60U})
        loop.tasks().spawn(wait(wait_ms));
    run(loop, wait(120));
    CHECK(ended == std::vector<std::uint64_t>{1, 60, 120, 200, 350});
    CHECK(early == std::vector<bool>(5, false));
}

TEST_CASE("loop: a delay that is cut ends at once, and once", "[loop]") {
    Loop loop;
    Loop::Delay delay = loop.delay(60'000);
    int ended = 0;
    const auto wait = [&]() -> Task<> {
        co_await delay;
        ++ended;
    };
    loop.tasks().spawn(wait());
    for (int i = 0; i < 2; ++i)
        loop.post([&] { delay.cut(); });
    loop.stop();
    loop.run();
    CHECK(ended == 1);
}

TEST_CASE("loop: a yield lets the others go first", "[loop]") {
    Loop loop;
    std::vector<std::string> notes;
    const auto polite = [&](std::string name) -> Task<> {
        for (int i = 1; i <= 2; ++i) {
            notes.push_back(name + std::to_string(i));
            co_await loop.yield();
        }
    };
    loop.tasks().spawn(polite("a"));
    run(loop, polite("b"));
    CHECK(notes == std::vector<std::string>{"a1", "b1", "a2", "b2"});
}

TEST_CASE("loop: of those that stand back as many go on as there is time for, behind the others",
          "[loop]") {
    Loop loop;
    const Pair pair;
    std::string order;
    const auto stand_back = [&](char name) -> Task<> {
        co_await loop.stand_back();
        order += name;
        pair.say();  // is ready in the next iteration
        spend(Loop::kBehindNs);
        if (name == 'a') {
            co_await loop.stand_back();
            order += 'A';
        }
    };
    Counting counting(loop, pair.ends[0]);
    loop.watch(pair.ends[0], EPOLLIN, counting);
    std::vector<int> told;
    const auto note = [&]() -> Task<> {
        while (order.size() < 4) {
            if (told.empty() || told.back() != counting.told) told.push_back(counting.told);
            co_await loop.yield();
        }
    };
    for (const char name : {'a', 'b', 'c'})
        loop.tasks().spawn(stand_back(name));
    run(loop, note());
    CHECK(order == "abcA");
    CHECK(counting.told == 3);
    CHECK(told == std::vector{0, 1, 2, 3});
    loop.unwatch(pair.ends[0]);
}

TEST_CASE("loop: who stands back again waits for the others' turns", "[loop]") {
    Loop loop;
    std::string order;
    const auto stand_back = [&](char name) -> Task<> {
        for (int i = 0; i < 2; ++i) {
            co_await loop.stand_back();
            order += name;
        }
    };
    for (const char name : {'a', 'b'})
        loop.tasks().spawn(stand_back(name));
    loop.stop();
    loop.run();
    CHECK(order == "abab");
}

TEST_CASE("loop: a watcher is told of its descriptor until it is unwatched", "[loop]") {
    Loop loop;
    const Pair pair;
    Counting watcher(loop, pair.ends[0]);
    loop.watch(pair.ends[0], EPOLLIN | EPOLLET, watcher);
    pair.say();
    watcher.then = [&] {
        // Watched again, it is told again; unwatched, never more.
        pair.say();
        watcher.then = [&] {
            loop.unwatch(pair.ends[0]);
            pair.say();
            loop.post([&] { loop.post([&] { loop.stop(); }); });
        };
    };
    loop.run();
    CHECK(watcher.told == 2);
    CHECK((watcher.seen & EPOLLIN) != 0);
}

TEST_CASE("loop: a watcher that destroys another one of the same batch", "[loop]") {
    Loop loop;
    const Pair pairs[2];
    struct Last {
        Loop& loop;
        const Pair* pairs;
        int told = 0;
    } last{loop, pairs};
    // Whichever is told first forgets the other, whose event has come as well.
    struct Forgetful final : Watcher {
        Forgetful(Last& shared, int forgotten) : last(shared), other(forgotten) {}
        void on_events(std::uint32_t) override {
            ++last.told;
            last.loop.forget(other);
            last.loop.stop();
        }
        Last& last;
        int other;
    };
    Forgetful first(last, pairs[1].ends[0]);
    Forgetful second(last, pairs[0].ends[0]);
    loop.watch(pairs[0].ends[0], EPOLLIN | EPOLLET, first);
    loop.watch(pairs[1].ends[0], EPOLLIN | EPOLLET, second);
    pairs[0].say();
    pairs[1].say();
    loop.run();
    CHECK(last.told == 1);
}

TEST_CASE("loop: its clocks are read anew in each iteration and never go back", "[loop]") {
    Loop loop;
    const auto task = [&]() -> Task<> {
        co_await loop.yield();
        const std::uint64_t before_ns = loop.now_ns();
        const std::uint64_t before_ms = loop.now_ms();
        co_await loop.delay(50);
        CHECK(loop.now_ns() > before_ns);
        CHECK(loop.now_ms() >= before_ms + 50);
        CHECK(loop.wall_s() > 1'700'000'000);
    };
    run(loop, task());
}
