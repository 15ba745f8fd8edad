#include "conf/timeout_advice.h"

#include "conf/bytes.h"

#include <chrono>

#include <fmt/format.h>

namespace tidepool::conf {

namespace {

constexpr std::chrono::seconds kEdgeIdle{900};

}  // namespace

Findings find_doubtful_timeouts(const Settings& settings) {
    Findings findings;
    if (settings.timeouts.idle_edge > kEdgeIdle) return findings;
    findings.push_back(
        {{"timeouts.idle_edge"},
         fmt::format(
             "{} is not above the {} for which the edge keeps an idle connection, so it may "
             "send a request on one that is being closed: write \"930s\"",
             format_duration(settings.timeouts.idle_edge), format_duration(kEdgeIdle))});
    return findings;
}

}  // namespace tidepool::conf
