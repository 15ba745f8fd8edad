// What an operator should know of the lifetimes that he configured. Pure.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"

namespace tidepool::conf {

// Whether an answer of this status says something of who asks, how or when, and not of what is
// asked for: the next one may get another, so that nobody may keep it, whatever is configured. So
// is 422, of a variant that cannot be made: limits change, and originals are mended.
bool is_kept_by_nobody(int status);

// What is allowed, and does not do what it looks like: directives that switch each other off at the
// edge (contracts: cloudflare.md 3.3), lifetimes for statuses that have none.
Findings find_doubtful_lifetimes(const Settings& settings);

}  // namespace tidepool::conf
