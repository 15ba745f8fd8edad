#include "proxy/serve/zone_rulesets.h"

#include "conf/quote.h"
#include "proxy/edge/zone_calls.h"
#include "proxy/serve/zone_call.h"
#include "storage/streams.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

constexpr ZoneWords kRulesWords{
    .denied =
        ": the token may not read and change this zone's rules (it needs Zone WAF, Transform "
        "Rules, Cache Rules and Zone Settings: Edit), or is not good any more",
    .misconfigured = ": there is no such zone at this API, or it is not of this token"};

}  // namespace

Result<PhaseRules> parse_phase_rules(std::string_view body) {
    const auto json = edge::ZoneJson::parse(body, nullptr, false);
    const bool has_result =
        json.is_object() && json.contains("result") && json["result"].is_object();
    if (!has_result) return fail(ErrorKind::io, "the edge's API sends no ruleset");
    const edge::ZoneJson& result = json["result"];
    PhaseRules read;
    if (result.contains("version") && result["version"].is_string())
        read.version = result["version"].get<std::string>();
    if (!result.contains("rules") || result["rules"].is_null()) return read;
    if (!result["rules"].is_array())
        return fail(ErrorKind::io, "the edge's API sends a ruleset whose rules are no list");
    for (const edge::ZoneJson& rule : result["rules"]) {
        if (!rule.is_object())
            return fail(ErrorKind::io, "the edge's API sends a rule that is no object");
    }
    read.rules = result["rules"];
    return read;
}

bool has_no_ruleset(int status, std::string_view body) {
    return status == 404 && is_about_no_zone(body);
}

ZoneRulesets::ZoneRulesets(std::string api_url, std::string zone_id, conf::Secret token,
                           std::chrono::milliseconds timeout)
    : api_url_(std::move(api_url)),
      zone_id_(std::move(zone_id)),
      token_(std::move(token)),
      http_({.connect_timeout = timeout,
             .stall_timeout = std::chrono::ceil<std::chrono::seconds>(timeout),
             .kept_connections = 1}) {}

Result<storage::HttpAnswer> ZoneRulesets::call(std::string_view method, edge::Phase phase,
                                               const std::string& body) {
    storage::MemorySource source(body);
    storage::HttpExchange exchange{.upload_size = body.size()};
    if (!body.empty()) exchange.upload = &source;
    const storage::StoreRequest request{.method = std::string(method),
                                        .url = api_url_ + edge::entry_point_path(zone_id_, phase),
                                        .headers = {{"authorization", "Bearer " + token_.reveal()},
                                                    {"content-type", "application/json"}}};
    auto answer = http_.perform(request, exchange);
    if (answer) return std::move(*answer);
    std::string text = conf::printable(answer.error().text);
    conf::hide(text, token_.reveal());
    return fail(ErrorKind::io, fmt::format("the edge's API is not reached: {}", text));
}

Result<PhaseRules> ZoneRulesets::judge(storage::HttpAnswer answer) const {
    // A wrong host may send back what it was sent.
    conf::hide(answer.body, token_.reveal());
    const auto good = read_zone_answer(answer.status, answer.body, answer.header("retry-after"),
                                       std::time(nullptr), kRulesWords);
    if (!good) return std::unexpected(good.error().error);
    return parse_phase_rules(answer.body);
}

Result<PhaseRules> ZoneRulesets::read(edge::Phase phase) {
    auto answer = call("GET", phase, "");
    if (!answer) return std::unexpected(std::move(answer.error()));
    if (has_no_ruleset(answer->status, answer->body)) return PhaseRules{};
    return judge(std::move(*answer));
}

Result<PhaseRules> ZoneRulesets::write(edge::Phase phase, const edge::ZoneJson& rules) {
    auto answer = call("PUT", phase, edge::entry_point_body(rules).dump());
    if (!answer) return std::unexpected(std::move(answer.error()));
    return judge(std::move(*answer));
}

}  // namespace tidepool::serve
