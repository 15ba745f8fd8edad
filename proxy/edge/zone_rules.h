// The rules, records and settings with which a zone of the edge does what this server counts on
// (contracts: cloudflare.md 5). Pure; zone_text.h, zone_calls.h and zone_terraform.h write them.
#pragma once

#include "proxy/edge/zone_facts.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace tidepool::edge {

using ZoneJson = nlohmann::ordered_json;

// In the order in which the edge goes through them.
enum class Phase : std::uint8_t {
    url_rewrite,
    firewall,
    rate_limit,
    request_headers,
    cache,
    response_headers,
};
inline constexpr std::size_t kPhases = 6;
Phase phase_at(std::size_t index);
// "http_request_transform".
std::string_view api_name(Phase phase);
// "Rules > Overview > Create rule > URL Rewrite Rule".
std::string_view dashboard_path(Phase phase);

// What a zone pays for.
enum class ZonePlan : std::uint8_t { free, pro, business, enterprise };
std::string_view name_of(ZonePlan plan);
std::optional<ZonePlan> parse_zone_plan(std::string_view name);

// All rules of ours have a name that begins so, by which they are known again. Their refs begin
// with kOurRef.
inline constexpr std::string_view kOurName = "tidepool: ";
inline constexpr std::string_view kOurRef = "tidepool_";

// Texts hold the places of secrets and not the secrets: see zone_secrets.h.
struct ZoneRule {
    std::string ref;   // "tidepool_lock"; stable
    std::string name;  // "tidepool: prove to the origin that it is this zone"
    Phase phase = Phase::firewall;
    std::string expression;
    std::string action;
    ZoneJson parameters = nullptr;  // action_parameters; null = none
    ZoneJson rate = nullptr;        // ratelimit; null = none
    ZonePlan plan = ZonePlan::free;
    std::string why;                 // a sentence
    std::vector<std::string> steps;  // what is chosen in the dashboard, beside the expression
};

struct ZoneRecord {
    std::string name;     // "images.example"
    std::string type;     // "A", "AAAA", "CNAME"
    std::string content;  // an address or a name; what is not known says so
    std::string why;
};

// A setting of the whole zone.
struct ZoneSetting {
    std::string name;      // "SSL/TLS mode: Full (strict)"
    std::string where;     // in the dashboard
    std::string method{};  // of the call, below /zones/ID; "" = there is none
    std::string path{};
    ZoneJson body = nullptr;
    std::string resource{};  // of Terraform; "" = there is none
    ZoneJson attributes = nullptr;
    std::string why;
};

struct ZoneOptions {
    std::string address{};  // of this server: an address or a name; "" = it is not known
    ZonePlan plan = ZonePlan::free;
};

struct ZoneRules {
    std::vector<ZoneRecord> records;
    std::vector<ZoneSetting> settings;
    std::vector<ZoneRule> rules;  // by phase; within one in the order in which they have to stand
    std::vector<std::string> notes;
    std::vector<ZoneSecret> secrets;
};

ZoneRules zone_rules(const ZoneFacts& facts, const ZoneOptions& options = {});

// Of rules, those of this phase, in their order.
std::vector<ZoneRule> rules_of(const ZoneRules& all, Phase phase);

}  // namespace tidepool::edge
