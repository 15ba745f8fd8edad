#include "proxy/edge/zone_terraform.h"

#include "proxy/edge/expression.h"
#include "proxy/edge/hcl.h"
#include "proxy/edge/zone_secrets.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::edge {

namespace {

constexpr std::string_view kTerraformHead =
    "# Written by `tidepool edge rules --format terraform` for cloudflare/cloudflare, version 5.\n"
    "# A ruleset is all of its phase: where rules of others stand there, add them to its list, or "
    "use\n"
    "# `tidepool edge apply`, which leaves them alone.\n";

HclJson expression_of(std::string text) {
    return {{"$expression", std::move(text)}};
}

std::string variable_of(std::string_view secret) {
    return hcl_name(fmt::format("tidepool_{}", secret));
}

bool is_used(const ZoneRules& all, const ZoneSecret& secret) {
    const std::string place = secret_place(secret.name);
    return std::ranges::any_of(all.rules, [&place](const ZoneRule& rule) {
        return rule.expression.find(place) != rule.expression.npos ||
               rule_json(rule, secret_place).dump().find(ZoneJson(place).dump()) !=
                   std::string::npos;
    });
}

void write_variables(const ZoneRules& all, std::string_view zone_id, bool shows_secrets,
                     std::string& text) {
    HclJson zone{{"type", expression_of("string")}, {"description", "the zone's id"}};
    if (!zone_id.empty()) zone["default"] = zone_id;
    text += "\n" + hcl_block("variable", {"zone_id"}, zone);
    for (const ZoneSecret& secret : all.secrets) {
        if (!is_used(all, secret)) continue;
        const bool is_key = secret.name.starts_with("private.");
        HclJson variable{
            {"type", expression_of("string")},
            {"sensitive", true},
            {"description",
             fmt::format("{}, {}{}", secret.name, secret.value.source(),
                         is_key ? R"(; with \ before each \ and " of it, for it stands in an )"
                                  "expression"
                                : "")}};
        if (shows_secrets)
            variable["default"] =
                is_key ? escaped_in_literal(secret.value.reveal()) : secret.value.reveal();
        text += "\n" + hcl_block("variable", {variable_of(secret.name)}, variable);
    }
}

}  // namespace

std::string zone_terraform(const ZoneRules& all, std::string_view zone_id, bool shows_secrets) {
    std::string text(kTerraformHead);
    const HclJson provider{{"source", "cloudflare/cloudflare"}, {"version", "~> 5.0"}};
    text += fmt::format("\nterraform {{\n  required_providers {{\n    cloudflare = {}\n  }}\n}}\n",
                        hcl_value(provider, 2));
    write_variables(all, zone_id, shows_secrets, text);
    const HclJson zone = expression_of("var.zone_id");
    for (const ZoneRecord& record : all.records)
        text +=
            "\n# " + record.why + "\n" +
            hcl_block("resource", {"cloudflare_dns_record", hcl_name("tidepool_" + record.name)},
                      {{"zone_id", zone},
                       {"name", record.name},
                       {"type", record.type},
                       {"content", record.content},
                       {"proxied", true},
                       {"ttl", 1}});
    for (const ZoneSetting& setting : all.settings) {
        text += fmt::format("\n# {}. {}\n", setting.name, setting.why);
        if (setting.resource.empty()) {
            text += fmt::format("# By hand: {}.\n", setting.where);
            continue;
        }
        HclJson attributes{{"zone_id", zone}};
        attributes.update(setting.attributes);
        text += hcl_block("resource", {setting.resource, "tidepool"}, attributes);
    }
    // Left as they are, to be filled by what writes the strings.
    for (std::size_t index = 0; index < kPhases; ++index) {
        const Phase phase = phase_at(index);
        HclJson rules = HclJson::array();
        for (const ZoneRule& rule : rules_of(all, phase))
            rules.push_back(rule_json(rule, secret_place));
        if (rules.empty()) continue;
        text += "\n" + hcl_block("resource",
                                 {"cloudflare_ruleset",
                                  hcl_name(fmt::format("tidepool_{}", api_name(phase)))},
                                 {{"zone_id", zone},
                                  {"name", api_name(phase)},
                                  {"kind", "zone"},
                                  {"phase", api_name(phase)},
                                  {"rules", rules}},
                                 [](std::string_view name) {
                                     return fmt::format("${{var.{}}}", variable_of(name));
                                 });
    }
    for (const std::string& note : all.notes)
        text += fmt::format("\n# {}\n", note);
    return text;
}

}  // namespace tidepool::edge
