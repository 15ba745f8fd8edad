// Plans in words. Pure.
#pragma once

#include "proxy/edge/plan.h"

#include <cstdint>
#include <string>

namespace tidepool::edge {

// "30 days", "1 year", "1 hour 5 minutes", "about 11 days": never more than two units.
std::string duration_words(std::int64_t seconds);

// "the edge stores it for 30 days, then ..."
std::string edge_words(const EdgePlan& plan);
// "browsers keep it for 1 year and never ask again"
std::string browser_words(const BrowserPlan& plan);

}  // namespace tidepool::edge
