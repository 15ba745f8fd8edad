// The rules of a zone as resources of Terraform's provider cloudflare/cloudflare, version 5. Pure.
#pragma once

#include "proxy/edge/zone_rules.h"

#include <string>

namespace tidepool::edge {

// A whole file. The zone's id and the secrets are variables of it. With `shows_secrets` their
// values are the variables' defaults.
std::string zone_terraform(const ZoneRules& all, std::string_view zone_id, bool shows_secrets);

}  // namespace tidepool::edge
