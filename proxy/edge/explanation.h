// What the edge, and then a browser, does with an answer of the origin, and why. Pure.
#pragma once

#include "proxy/edge/message.h"
#include "proxy/edge/plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::edge {

// Something that is probably not what somebody wanted.
struct Warning {
    std::string code;  // for programs: it does not change
    std::string text;
};

struct Explanation {
    std::string verdict;  // one sentence
    EdgePlan edge;
    BrowserPlan browser;
    Reasons reasons;
    std::vector<Warning> warnings;
};

// Contracts: cloudflare.md 3, with the warnings of its sections 0 and 6. See judge_edge for what is
// taken for granted.
Explanation explain(const Question& question, const Answer& answer, std::int64_t now_s);

}  // namespace tidepool::edge
