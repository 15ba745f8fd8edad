#include "conf/timeout_advice.h"

#include <chrono>

#include <catch2/catch.hpp>

using namespace tidepool::conf;
using namespace std::chrono_literals;

TEST_CASE("timeout advice: connections are kept for longer than the edge keeps them",
          "[conf][settings]") {
    Settings settings;
    CHECK(find_doubtful_timeouts(settings).empty());
    settings.timeouts.idle_edge = 900'001ms;
    CHECK(find_doubtful_timeouts(settings).empty());
    for (const auto idle : {20'000ms, 900'000ms}) {
        settings.timeouts.idle_edge = idle;
        const Findings findings = find_doubtful_timeouts(settings);
        REQUIRE(findings.size() == 1);
        CHECK(findings.front().keys.front() == "timeouts.idle_edge");
        CHECK_THAT(findings.front().message, Catch::Contains("\"930s\""));
    }
}
