// What an operator should know of what his purges leave at the edge. Pure.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"

namespace tidepool::conf {

// What purges by URL alone do not reach: URLs with a signature, and hosts that nobody names.
Findings find_doubtful_purges(const Settings& settings);

}  // namespace tidepool::conf
