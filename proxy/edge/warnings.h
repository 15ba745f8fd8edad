// What an operator should change about an answer. Pure.
#pragma once

#include "proxy/edge/explanation.h"

#include <vector>

namespace tidepool::edge {

// Contracts: cloudflare.md 0, 3.8 (types), 6.
std::vector<Warning> find_warnings(const Question& question, const Answer& answer,
                                   const EdgePlan& edge, const BrowserPlan& browser);

}  // namespace tidepool::edge
