#include "proxy/cli/done_within.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace tidepool::cli;
using namespace std::chrono_literals;

TEST_CASE("done within: what work returns", "[cli]") {
    CHECK(done_within(1min, [] { return true; }) == true);
    CHECK(done_within(1min, [] { return false; }) == false);
    CHECK(done_within(1min, []() -> bool { throw std::runtime_error("it failed"); }) == false);
    CHECK(done_within(1min, []() -> bool { std::_Exit(7); }) == false);
    CHECK(done_within(1min, [] { return raise(SIGKILL) == 0; }) == false);
}

TEST_CASE("done within: work that never ends holds nobody up", "[cli]") {
    const auto wait_for_ever = [] {
        while (true)
            pause();
        return true;
    };
    CHECK(done_within(10ms, wait_for_ever) == std::nullopt);
    CHECK(done_within(0ms, wait_for_ever) == std::nullopt);
}
