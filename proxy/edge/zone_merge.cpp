#include "proxy/edge/zone_merge.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace tidepool::edge {

namespace {

// Of a rule of ours. What else the API says of one is its own.
constexpr std::array<std::string_view, 6> kRuleFields{"description",       "expression", "action",
                                                      "action_parameters", "ratelimit",  "enabled"};
// Which the API writes, and takes from nobody.
constexpr std::array<std::string_view, 2> kReadOnly{"version", "last_updated"};

// The API's objects have no order, ours do.
nlohmann::json in_any_order(const ZoneJson& rule, std::string_view field) {
    const auto found = rule.find(field);
    return found == rule.end() ? nlohmann::json() : nlohmann::json(*found);
}

std::string text_field(const ZoneJson& rule, std::string_view field) {
    const auto found = rule.find(field);
    return found != rule.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> different_fields(const ZoneJson& there, const ZoneJson& wanted) {
    std::vector<std::string> fields;
    for (const std::string_view field : kRuleFields) {
        if (in_any_order(there, field) != in_any_order(wanted, field)) fields.emplace_back(field);
    }
    return fields;
}

const ZoneJson* find_by_ref(const ZoneJson& rules, const std::string& ref) {
    const auto found = std::ranges::find_if(rules, [&ref](const ZoneJson& rule) {
        return is_our_rule(rule) && text_field(rule, "ref") == ref;
    });
    return found == rules.end() ? nullptr : &*found;
}

void compare_ours(const ZoneJson& there, const ZoneJson& wanted, PhaseMerge& merge) {
    std::vector<std::string> order_there;
    for (const ZoneJson& rule : there) {
        if (!is_our_rule(rule)) continue;
        const std::string ref = text_field(rule, "ref");
        // One that was made by hand after our text, or copied, has a ref of its own.
        const bool is_kept = find_by_ref(wanted, ref) != nullptr &&
                             std::ranges::find(order_there, ref) == order_there.end();
        if (is_kept) {
            order_there.push_back(ref);
        } else {
            merge.changes.push_back({RuleChange::Kind::removed, text_field(rule, "description")});
        }
    }
    std::vector<std::string> order_wanted;
    for (const ZoneJson& rule : wanted) {
        const std::string ref = text_field(rule, "ref");
        const ZoneJson* const old = find_by_ref(there, ref);
        if (old == nullptr) {
            merge.changes.push_back({RuleChange::Kind::added, text_field(rule, "description")});
            continue;
        }
        order_wanted.push_back(ref);
        auto fields = different_fields(*old, rule);
        if (fields.empty()) {
            ++merge.same;
        } else {
            merge.changes.push_back(
                {RuleChange::Kind::changed, text_field(rule, "description"), std::move(fields)});
        }
    }
    merge.is_moved = order_there != order_wanted;
}

ZoneJson with_id_of(const ZoneJson& there, ZoneJson rule) {
    const ZoneJson* const old = find_by_ref(there, text_field(rule, "ref"));
    if (old != nullptr && old->contains("id")) rule["id"] = (*old)["id"];
    return rule;
}

}  // namespace

bool is_our_rule(const ZoneJson& rule) {
    if (!rule.is_object()) return false;
    // A name that somebody has shortened is ours, too.
    return text_field(rule, "ref").starts_with(kOurRef) ||
           text_field(rule, "description").starts_with(kOurName.substr(0, kOurName.size() - 1));
}

PhaseMerge merge_rules(const ZoneJson& there, const ZoneJson& wanted) {
    PhaseMerge merge;
    compare_ours(there, wanted, merge);
    auto left = static_cast<std::size_t>(std::ranges::count_if(there, is_our_rule));
    std::size_t next = 0;
    const auto add_up_to = [&](std::size_t end) {
        for (; next < std::min(end, wanted.size()); ++next)
            merge.rules.push_back(with_id_of(there, wanted[next]));
    };
    for (const ZoneJson& rule : there) {
        if (is_our_rule(rule)) {
            --left;
            add_up_to(left == 0 ? wanted.size() : next + 1);
            continue;
        }
        ++merge.foreign;
        ZoneJson kept = rule;
        for (const std::string_view field : kReadOnly)
            kept.erase(std::string(field));
        merge.rules.push_back(std::move(kept));
    }
    add_up_to(wanted.size());
    return merge;
}

}  // namespace tidepool::edge
