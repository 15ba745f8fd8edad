#include "proxy/edge/zone_calls.h"

#include "proxy/edge/zone_secrets.h"

#include <utility>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

ZoneJson call(std::string_view method, std::string path, ZoneJson body, std::string why) {
    return {{"method", method},
            {"path", std::move(path)},
            {"body", std::move(body)},
            {"why", std::move(why)}};
}

}  // namespace

std::string entry_point_path(std::string_view zone_id, Phase phase) {
    return fmt::format("/zones/{}/rulesets/phases/{}/entrypoint", zone_id, api_name(phase));
}

ZoneJson entry_point_body(const ZoneJson& rules) {
    return {{"rules", rules}};
}

ZoneJson zone_calls(const ZoneRules& all, std::string_view zone_id,
                    const std::function<std::string(std::string_view name)>& fill) {
    if (zone_id.empty()) zone_id = "ZONE_ID";
    ZoneJson calls = ZoneJson::array();
    for (const ZoneRecord& record : all.records)
        calls.push_back(call("POST", fmt::format("/zones/{}/dns_records", zone_id),
                             {{"type", record.type},
                              {"name", record.name},
                              {"content", record.content},
                              {"proxied", true},
                              {"ttl", 1}},
                             record.why));
    for (const ZoneSetting& setting : all.settings) {
        if (!setting.method.empty())
            calls.push_back(call(setting.method, fmt::format("/zones/{}{}", zone_id, setting.path),
                                 setting.body, setting.why));
    }
    for (std::size_t index = 0; index < kPhases; ++index) {
        const Phase phase = phase_at(index);
        ZoneJson rules = ZoneJson::array();
        std::string why;
        for (const ZoneRule& rule : rules_of(all, phase)) {
            rules.push_back(rule_json(rule, fill));
            why += (why.empty() ? "" : " ") + rule.why;
        }
        if (!rules.empty())
            calls.push_back(
                call("PUT", entry_point_path(zone_id, phase), entry_point_body(rules), why));
    }
    return calls;
}

}  // namespace tidepool::edge
