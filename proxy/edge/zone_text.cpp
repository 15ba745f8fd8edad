#include "proxy/edge/zone_text.h"

#include "proxy/edge/expression.h"
#include "proxy/edge/zone_secrets.h"

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

using FillText = std::function<std::string(std::string_view)>;

void write_records(const ZoneRules& all, std::string& text) {
    if (all.records.empty()) return;
    text += "DNS > Records\n";
    for (const ZoneRecord& record : all.records)
        text += fmt::format("\n  {} {} {}, proxied\n    {}\n", record.type, record.name,
                            record.content, record.why);
    text += "\n";
}

void write_zone_settings(const ZoneRules& all, std::string& text) {
    if (all.settings.empty()) return;
    text += "Settings of the zone\n";
    for (const ZoneSetting& setting : all.settings)
        text += fmt::format("\n  {}\n    {}\n    {}\n", setting.name, setting.where, setting.why);
    text += "\n";
}

void write_rule(const ZoneRule& rule, const FillText& fill, std::string& text) {
    const auto fill_literal = [&fill](std::string_view name) {
        return escaped_in_literal(fill(name));
    };
    text += fmt::format("\n  Rule name: {}\n    {}\n", rule.name, rule.why);
    if (rule.plan != ZonePlan::free)
        text += fmt::format("    Needs the plan {} or a larger one.\n", name_of(rule.plan));
    text += fmt::format("    When incoming requests match > Edit expression:\n      {}\n",
                        with_places_filled(rule.expression, fill_literal));
    for (const std::string& step : rule.steps)
        text += fmt::format("    {}\n", with_places_filled(step, fill));
}

}  // namespace

std::string zone_text(const ZoneRules& all, const FillText& fill) {
    std::string text;
    write_records(all, text);
    write_zone_settings(all, text);
    for (std::size_t index = 0; index < kPhases; ++index) {
        const Phase phase = phase_at(index);
        const std::vector<ZoneRule> rules = rules_of(all, phase);
        if (rules.empty()) continue;
        text += fmt::format("{}\n", dashboard_path(phase));
        if (rules.size() > 1) text += "  In this order, behind the rules that are there.\n";
        for (const ZoneRule& rule : rules)
            write_rule(rule, fill, text);
        text += "\n";
    }
    for (const std::string& note : all.notes)
        text += fmt::format("Note: {}\n", note);
    return text;
}

}  // namespace tidepool::edge
