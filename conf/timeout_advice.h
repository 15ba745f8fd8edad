// What an operator should know of the times that he configured. Pure.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"

namespace tidepool::conf {

// What is allowed, and costs requests: a connection that is closed while the edge still counts on
// it (contracts: cloudflare.md 1.4).
Findings find_doubtful_timeouts(const Settings& settings);

}  // namespace tidepool::conf
