#include "proxy/loop/worker_pool.h"

#include <atomic>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::loop;

TEST_CASE("worker pool: everything that was taken runs, also at the end", "[loop][workers]") {
    std::atomic<int> ran = 0;
    {
        WorkerPool pool("test", 3, 10'000);
        for (int i = 0; i < 1000; ++i)
            REQUIRE(pool.submit(i % 2 == 0 ? Lane::quick : Lane::bulk, [&] { ++ran; }));
    }
    CHECK(ran == 1000);
}

TEST_CASE("worker pool: a full queue refuses and counts, each lane apart", "[loop][workers]") {
    std::latch hold(1);
    std::latch begun(1);
    std::atomic<int> ran = 0;
    {
        WorkerPool pool("test", 1, 1);
        REQUIRE(pool.submit(Lane::quick, [&] {
            begun.count_down();
            hold.wait();
        }));
        begun.wait();  // the thread is busy, the queue empty
        CHECK(pool.submit(Lane::quick, [&] { ++ran; }));
        CHECK(pool.submit(Lane::bulk, [&] { ++ran; }));
        CHECK(pool.queued() == 2);
        CHECK_FALSE(pool.submit(Lane::quick, [&] { ++ran; }));
        CHECK_FALSE(pool.submit(Lane::bulk, [&] { ++ran; }));
        CHECK(pool.rejected() == 2);
        hold.count_down();
    }
    CHECK(ran == 2);
}

TEST_CASE("worker pool: quick work passes bulk, and bulk never takes the last thread",
          "[loop][workers]") {
    std::latch hold(1);
    std::latch bulk_begun(1);
    std::latch quick_done(1);
    {
        WorkerPool pool("test", 2, 100);
        for (int i = 0; i < 5; ++i) {
            REQUIRE(pool.submit(Lane::bulk, [&, i] {
                if (i == 0) bulk_begun.count_down();
                hold.wait();
            }));
        }
        bulk_begun.wait();
        REQUIRE(pool.submit(Lane::quick, [&] { quick_done.count_down(); }));
        quick_done.wait();  // while all bulk work hangs
        hold.count_down();
    }
    SUCCEED("the quick work was done");
}

TEST_CASE(
    "worker pool: one thread takes what is known first, then what is quick, and each lane in order",
    "[loop][workers]") {
    std::latch hold(1);
    std::latch begun(1);
    std::string order;  // written by the one thread, read when it has ended
    {
        WorkerPool pool("test", 1, 100);
        REQUIRE(pool.submit(Lane::bulk, [&] {
            begun.count_down();
            hold.wait();
        }));
        begun.wait();
        for (const char bulk : {'A', 'B', 'C'})
            REQUIRE(pool.submit(Lane::bulk, [&order, bulk] { order += bulk; }));
        for (const char quick : {'a', 'b', 'c'})
            REQUIRE(pool.submit(Lane::quick, [&order, quick] { order += quick; }));
        for (const char known : {'1', '2', '3'})
            REQUIRE(pool.submit(Lane::known, [&order, known] { order += known; }));
        hold.count_down();
    }
    CHECK(order == "123abcABC");
}

TEST_CASE("worker pool: work that submits more work", "[loop][workers]") {
    std::latch done(1);
    WorkerPool pool("test", 2, 10);
    REQUIRE(pool.submit(Lane::bulk, [&] {
        pool.submit(Lane::quick, [&] { pool.submit(Lane::bulk, [&] { done.count_down(); }); });
    }));
    done.wait();
    CHECK(pool.rejected() == 0);
}

TEST_CASE("offload: results and refusals come back on the loop's thread", "[loop][workers]") {
    Loop loop;
    std::latch hold(1);
    std::latch begun(1);
    WorkerPool pool("test", 1, 1);
    const auto loop_thread = std::this_thread::get_id();
    std::vector<std::string> seen;
    std::mutex seen_mutex;
    const auto ask = [&](int number) -> Task<> {
        const auto result = co_await offload(loop, pool, Lane::quick, [&, number]() -> Result<int> {
            begun.count_down();
            hold.wait();
            if (std::this_thread::get_id() == loop_thread)
                return fail(ErrorKind::io, "on the loop");
            return number * 2;
        });
        const std::lock_guard lock(seen_mutex);
        REQUIRE(std::this_thread::get_id() == loop_thread);
        seen.push_back(result ? std::to_string(*result) : result.error().text);
    };
    loop.tasks().spawn(ask(1));
    begun.wait();
    loop.tasks().spawn(ask(2));  // waits in the queue
    loop.tasks().spawn(ask(3));  // finds it full, at once
    CHECK(seen == std::vector<std::string>{"queue of workers 'test' is full"});
    hold.count_down();
    loop.stop();
    loop.run();
    CHECK(seen == std::vector<std::string>{"queue of workers 'test' is full", "2", "4"});
}

TEST_CASE("offload within: who has waited for long enough goes on, and so do those after him",
          "[loop][workers]") {
    Loop loop;
    std::latch hold(1);
    std::latch returned(1);
    std::vector<std::string> seen;
    auto lives_on = std::make_shared<int>(7);
    const std::weak_ptr<int> watched = lives_on;
    WorkerPool pool("test", 1, 10, 20);
    const auto ask = [&](auto call) -> Task<> {
        const auto result = co_await offload_within(loop, pool, Lane::quick, std::move(call));
        seen.push_back(result ? std::to_string(*result)
                              : std::string(name_of(result.error().kind)));
    };
    CHECK_FALSE(WorkerPool::is_on_worker());
    const auto hangs = [&hold, owned = std::move(lives_on)]() -> Result<int> {
        hold.wait();
        return *owned;
    };
    const auto give = []() -> Result<int> { return WorkerPool::is_on_worker() ? 1 : 0; };
    loop.tasks().spawn(ask(hangs));
    loop.stop();
    loop.run();  // ends with the last task
    CHECK(seen == std::vector<std::string>{"timed_out"});
    CHECK(pool.overdue() == 1);
    CHECK(pool.is_stuck(Lane::quick));
    CHECK_FALSE(watched.expired());
    loop.tasks().spawn(ask(give));  // refused at once: nothing is waited for
    CHECK(seen == std::vector<std::string>{"timed_out", "timed_out"});
    hold.count_down();
    REQUIRE(pool.submit(Lane::bulk, [&] { returned.count_down(); }));  // after what hung
    returned.wait();
    while (pool.overdue() > 0)
        std::this_thread::yield();
    loop.tasks().spawn(ask(give));
    loop.run();
    CHECK(seen.back() == "1");
}

TEST_CASE("offload within: what nobody waits for any more is not begun", "[loop][workers]") {
    Loop loop;
    std::latch hold(1);
    std::latch begun(1);
    bool ran = false;
    {
        WorkerPool pool("test", 1, 10, 1);
        REQUIRE(pool.submit(Lane::quick, [&] {
            begun.count_down();
            hold.wait();
        }));
        begun.wait();
        loop.tasks().spawn([](Loop& its_loop, WorkerPool& its_pool, bool& has_run) -> Task<> {
            const auto result =
                co_await offload_within(its_loop, its_pool, Lane::quick, [&]() -> Result<void> {
                    has_run = true;
                    return {};
                });
            CHECK(result.error().kind == ErrorKind::timed_out);
        }(loop, pool, ran));
        loop.stop();
        loop.run();
        hold.count_down();
    }
    CHECK_FALSE(ran);
}

TEST_CASE("loop: posts of many threads all run on it, in each thread's order", "[loop]") {
    Loop loop;
    std::vector<std::vector<int>> got(4);
    std::atomic<int> left = 4;
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 1000; ++i)
                loop.post([&, t, i] { got[t].push_back(i); });
            loop.post([&] {
                if (--left == 0) loop.stop();
            });
        });
    }
    loop.run();
    for (std::thread& thread : threads)
        thread.join();
    for (const auto& each : got) {
        REQUIRE(each.size() == 1000);
        CHECK(std::is_sorted(each.begin(), each.end()));
    }
}

TEST_CASE("loop: tasks that wait, yield and call one another", "[loop]") {
    Loop loop;
    std::string trace;
    const auto child = [&](char name) -> Task<int> {
        trace += name;
        co_await loop.yield();
        trace += name;
        co_return name;
    };
    const auto parent = [&](char name) -> Task<> {
        const int value = co_await child(name);
        trace += static_cast<char>(value + 1);
        co_await loop.delay(1);
        trace += '.';
    };
    loop.tasks().spawn(parent('a'));
    loop.tasks().spawn(parent('m'));
    CHECK(trace == "am");
    CHECK(loop.tasks().running() == 2);
    loop.stop();
    loop.run();
    CHECK(trace == "amabmn..");
    CHECK(loop.tasks().running() == 0);
}
