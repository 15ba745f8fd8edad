// What else the edge does with an answer: validators, its key in the cache, what it takes away.
// Pure.
#pragma once

#include "proxy/edge/message.h"
#include "proxy/edge/plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tidepool::edge {

// An ETag, as far as the edge takes it for one (contracts: cloudflare.md 3.6).
enum class TagKind : std::uint8_t { none, unquoted, weak, strong };
TagKind tag_kind(const Answer& answer);

// Fields of the answer that the visitor does not get (contracts: cloudflare.md 1.1, 3.6).
std::vector<std::string> removed_fields(const Answer& answer);

// Contracts: cloudflare.md 3.3 (Browser Cache TTL), 3.6 to 3.9.
void add_side_facts(const Question& question, const Answer& answer, const EdgePlan& plan,
                    Reasons& reasons);

}  // namespace tidepool::edge
