#include "proxy/loop/precedence.h"

#include "tests/support/folder.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include <catch2/catch.hpp>
#include <sched.h>

using namespace tidepool::loop;

namespace {

// One that goes first.
Standing first() {
    Standing standing;
    for (unsigned i = 0; i < Standing::kWaits; ++i)
        standing.look(0.2, 0.2);
    return standing;
}

}  // namespace

TEST_CASE("who takes hardly anything goes first, for as long as that is so") {
    Standing standing;
    CHECK(standing.look(0.04, 0));
    for (unsigned i = 0; i < 2 * Standing::kLooksFirst; ++i)
        REQUIRE(standing.look(0, 0));
    CHECK_FALSE(standing.look(0.05, 0));
    CHECK_FALSE(standing.look(0.05, 0));
    CHECK(standing.look(0.04, 0));
}

TEST_CASE("who does something and waits for nobody does not go first") {
    Standing standing;
    const auto [used, waited] = GENERATE(table<double, double>({
        {0.05, 0}, {0.4, 0.1},  // little of what it had
    }));
    for (unsigned i = 0; i < 10 * Standing::kWaits; ++i)
        CHECK_FALSE(standing.look(used, waited));
}

TEST_CASE("who is made to wait again and again goes first") {
    Standing standing;
    for (unsigned i = 1; i < Standing::kWaits; ++i)
        CHECK_FALSE(standing.look(0.2, 0.2));
    CHECK(standing.look(0.2, 0.2));
}

TEST_CASE("who was made to wait once does not go first, however often once is") {
    Standing standing;
    for (unsigned i = 0; i < 100; ++i) {
        CHECK_FALSE(standing.look(0.2, 0.2));
        CHECK_FALSE(standing.look(0.2, 0));
    }
}

TEST_CASE("who goes first and waits for nobody goes on for a time, and then is one of many") {
    Standing standing = first();
    for (unsigned i = 1; i < Standing::kLooksFirst; ++i)
        REQUIRE(standing.look(0.2, 0));
    CHECK_FALSE(standing.look(0.2, 0));
    CHECK_FALSE(standing.look(0.2, 0));  // and stays so, unless it is made to wait
    CHECK_FALSE(standing.look(0.2, 0.2));
    CHECK(standing.look(0.2, 0.2));
}

TEST_CASE("who takes much of a processor is one of many") {
    Standing standing = first();
    CHECK(standing.look(0.74, 0));
    CHECK_FALSE(standing.look(0.75, 0));
    SECTION("for a time, whoever makes it wait, and then until it takes less") {
        for (unsigned i = 0; i < Standing::kLooksBack; ++i)
            CHECK_FALSE(standing.look(0.2, 0.5));
        CHECK_FALSE(standing.look(0.5, 0.5));
        CHECK_FALSE(standing.look(0.5, 0.5));
        CHECK_FALSE(standing.look(0.49, 0.5));
        CHECK(standing.look(0.49, 0.5));
    }
}

TEST_CASE("a thread goes first by what the kernel says of it") {
    const tidepool::test::Folder folder;
    const auto path = folder.path("schedstat");
    const auto say = [&](std::uint64_t used_ms, std::uint64_t waited_ms) {
        std::ofstream(path) << used_ms * 1'000'000 << ' ' << waited_ms * 1'000'000 << " 17\n";
    };
    const auto policy = [] { return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; };
    say(1'000, 1'000);
    std::thread([&] {
        ask_for_short_turns();
        Precedence precedence(path);
        const auto claimed = precedence.claim(0);
        CHECK(policy() == SCHED_OTHER);
        if (!claimed) CHECK(claimed.error().kind == tidepool::ErrorKind::denied);
        const int first = claimed ? SCHED_RR : SCHED_OTHER;  // not everybody may
        std::uint64_t now = Precedence::kLookNs;

        say(1'004, 1'010);
        precedence.look(now);
        CHECK(policy() == SCHED_OTHER);
        say(1'008, 1'020);
        precedence.look(2 * now - 1);  // too early to tell
        CHECK(policy() == SCHED_OTHER);
        precedence.look(2 * now);
        CHECK(policy() == first);
        if (claimed) CHECK((sched_getscheduler(0) & SCHED_RESET_ON_FORK) != 0);

        say(1'022, 1'020);
        precedence.look(3 * now);
        CHECK(policy() == first);
        say(1'037, 1'020);
        precedence.look(4 * now);
        CHECK(policy() == SCHED_OTHER);
    }).join();
}

TEST_CASE("what the kernel does not count is said, and nothing claimed") {
    const tidepool::test::Folder folder;
    const auto path = folder.path("schedstat");
    const auto refusal = [&] {
        const auto claimed = Precedence(path).claim(0);
        return claimed ? std::string() : claimed.error().text;
    };
    std::thread([&] {
        CHECK(refusal().find("schedstat") != std::string::npos);  // there is none
        for (const char* content : {"", "17", "17 ", "a b c"}) {
            std::ofstream(path, std::ios::trunc) << content;
            CAPTURE(content);
            CHECK_FALSE(refusal().empty());
        }
        CHECK((sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER);
    }).join();
}
