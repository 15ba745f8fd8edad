#include "proxy/loop/precedence.h"

#include <cstdint>
#include <ctime>
#include <thread>

#include <catch2/catch.hpp>
#include <sched.h>

using namespace tidepool::loop;

namespace {

constexpr std::uint64_t kMs = 1'000'000;

std::uint64_t processor_ns() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<std::uint64_t>(used.tv_sec) * 1'000 * kMs +
           static_cast<std::uint64_t>(used.tv_nsec);
}

void work_for(std::uint64_t ns) {
    const std::uint64_t end = processor_ns() + ns;
    while (processor_ns() < end) {
    }
}

int policy() {
    return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

}  // namespace

TEST_CASE("who takes little of a processor may go first") {
    const bool goes_first = GENERATE(false, true);
    CHECK(may_go_first(goes_first, 0));
    CHECK(may_go_first(goes_first, 0.49));
    CHECK_FALSE(may_go_first(goes_first, 0.75));
    CHECK_FALSE(may_go_first(goes_first, 1));
}

TEST_CASE("between little and much all stays as it was") {
    CHECK(may_go_first(true, 0.6));
    CHECK_FALSE(may_go_first(false, 0.6));
}

TEST_CASE("a thread goes first until it has much to do, and again after that") {
    std::thread([] {
        Precedence precedence;
        if (!precedence.claim(0)) {  // not everybody may
            CHECK_FALSE(precedence.goes_first());
            precedence.look(1'000 * kMs);
            CHECK(policy() == SCHED_OTHER);
            return;
        }
        CHECK(policy() == SCHED_RR);
        CHECK((sched_getscheduler(0) & SCHED_RESET_ON_FORK) != 0);

        work_for(Precedence::kLookNs * 3 / 4 + kMs);
        precedence.look(Precedence::kLookNs - 1);  // too early to tell
        CHECK(policy() == SCHED_RR);
        precedence.look(Precedence::kLookNs);
        CHECK_FALSE(precedence.goes_first());
        CHECK(policy() == SCHED_OTHER);

        // Of a second that passed meanwhile it took little.
        precedence.look(Precedence::kLookNs + 1'000 * kMs);
        CHECK(precedence.goes_first());
        CHECK(policy() == SCHED_RR);
    }).join();
}
