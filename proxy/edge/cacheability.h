// Whether the edge stores an answer, for how long, and what it does afterwards; and what a browser
// makes of what it gets. Pure.
#pragma once

#include "proxy/edge/message.h"
#include "proxy/edge/plan.h"

#include <cstdint>
#include <optional>

namespace tidepool::edge {

// Contracts: cloudflare.md 3.1 to 3.5, for a GET in a zone without Cache Rules, with Origin Cache
// Control on, as it always is but on Enterprise. `now_s` is seconds since 1970: Expires is counted
// from Date, or from then. Reasons are appended.
EdgePlan judge_edge(const Question& question, const Answer& answer, std::int64_t now_s,
                    Reasons& reasons);

// RFC 9111 for a private cache, RFC 5861, RFC 8246. What the edge passes on of Cache-Control is
// what the origin sent (3.4), so the question and the edge's plan do not matter.
BrowserPlan judge_browser(const Answer& answer, std::int64_t now_s, Reasons& reasons);

// Seconds from Date, else `now_s`, to Expires: 0 where it has passed or is no date, nothing where
// there is no Expires.
std::optional<std::int64_t> expires_in(const Answer& answer, std::int64_t now_s);

}  // namespace tidepool::edge
