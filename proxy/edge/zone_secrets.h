// Secrets in the texts of rules: first their places, then, for whoever may see them, themselves.
// Pure.
#pragma once

#include "proxy/edge/zone_rules.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::edge {

// The place of a secret: its setting's name between characters that no setting may hold.
std::string secret_place(std::string_view name);

// With what `fill` gives for each name in its place.
std::string with_places_filled(std::string_view text,
                               const std::function<std::string(std::string_view name)>& fill);

// A rule as the API has it, with `fill` for its secrets: ref, description, expression, action,
// action_parameters, ratelimit, enabled. What is filled into an expression is escaped there.
ZoneJson rule_json(const ZoneRule& rule,
                   const std::function<std::string(std::string_view name)>& fill);

// What stands where a secret is not shown: "<edge.secret: file:/etc/tidepool/edge.key>".
std::string placeholder_of(std::span<const ZoneSecret> secrets, std::string_view name);
// The secret itself; "" where there is none of that name.
std::string value_of(std::span<const ZoneSecret> secrets, std::string_view name);

}  // namespace tidepool::edge
