// The rules of a zone as calls of the edge's API. Pure.
#pragma once

#include "proxy/edge/zone_rules.h"

#include <functional>
#include <string_view>

namespace tidepool::edge {

// The path of a phase's entry point ruleset, below the API's base URL.
std::string entry_point_path(std::string_view zone_id, Phase phase);

// The body of a PUT there: {"rules": [...]}.
ZoneJson entry_point_body(const ZoneJson& rules);

// [{"method", "path", "body", "why"}, ...] in the order in which they are to be made. A call for a
// phase replaces all that stands there, others' rules as well. `zone_id` "" = a placeholder.
ZoneJson zone_calls(const ZoneRules& all, std::string_view zone_id,
                    const std::function<std::string(std::string_view name)>& fill);

}  // namespace tidepool::edge
