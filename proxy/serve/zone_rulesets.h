// Reads and writes the rules of a zone by the edge's API (contracts: cloudflare.md 5). Blocking.
#pragma once

#include "conf/error.h"
#include "conf/secret.h"
#include "proxy/edge/zone_rules.h"
#include "storage/s3_http.h"

#include <chrono>
#include <string>
#include <string_view>

namespace tidepool::serve {

// The entry point ruleset of a phase.
struct PhaseRules {
    edge::ZoneJson rules = edge::ZoneJson::array();
    std::string version{};  // "" where there is no ruleset yet
    bool operator==(const PhaseRules&) const = default;
};

// An answer that is good by itself. io where it is not a ruleset's.
Result<PhaseRules> parse_phase_rules(std::string_view body);
// Whether an answer says that the zone has nothing in this phase yet.
bool has_no_ruleset(int status, std::string_view body);

// One thread. Nothing is tried again. No text has the token.
class ZoneRulesets {
  public:
    // `api_url`: a base URL, without a slash at its end.
    ZoneRulesets(std::string api_url, std::string zone_id, conf::Secret token,
                 std::chrono::milliseconds timeout);

    Result<PhaseRules> read(edge::Phase phase);
    // In place of all that stands there.
    Result<PhaseRules> write(edge::Phase phase, const edge::ZoneJson& rules);

  private:
    Result<storage::HttpAnswer> call(std::string_view method, edge::Phase phase,
                                     const std::string& body);
    Result<PhaseRules> judge(storage::HttpAnswer answer) const;

    const std::string api_url_;
    const std::string zone_id_;
    const conf::Secret token_;
    storage::S3Http http_;
};

}  // namespace tidepool::serve
