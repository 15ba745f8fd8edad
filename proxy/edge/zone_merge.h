// Our rules put among those that stand in a phase already. Pure.
#pragma once

#include "proxy/edge/zone_rules.h"

#include <cstddef>
#include <string>
#include <vector>

namespace tidepool::edge {

struct RuleChange {
    enum class Kind : std::uint8_t { added, changed, removed };
    Kind kind = Kind::added;
    std::string name;
    std::vector<std::string> fields{};  // of one that changes: what is different
};

struct PhaseMerge {
    ZoneJson rules = ZoneJson::array();  // all that are to stand there, in their order
    std::vector<RuleChange> changes;
    std::size_t same = 0;     // of ours
    std::size_t foreign = 0;  // are kept as they are, in their order
    bool is_moved = false;    // what differs is the order of ours alone
    bool changes_nothing() const { return changes.empty() && !is_moved; }
};

// Ours by its ref or name.
bool is_our_rule(const ZoneJson& rule);

// `there`: the rules of the entry point ruleset as the API gives them; `wanted`: ours, as of
// rule_json(). Ours take the places of ours from first to last, and what is left over stands
// behind the last of these; where there were none, behind all. Rules that stay keep their ids.
PhaseMerge merge_rules(const ZoneJson& there, const ZoneJson& wanted);

}  // namespace tidepool::edge
