// The rules of a zone as steps that a person follows in the dashboard. Pure.
#pragma once

#include "proxy/edge/zone_rules.h"

#include <functional>
#include <string>

namespace tidepool::edge {

// Lines, the last one ended. `fill` gives what stands for a secret.
std::string zone_text(const ZoneRules& all,
                      const std::function<std::string(std::string_view name)>& fill);

}  // namespace tidepool::edge
