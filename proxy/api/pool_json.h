// A pool's settings as JSON, without its secrets.
#pragma once

#include "conf/settings.h"

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace tidepool::api {

using Json = nlohmann::ordered_json;

// Every field of [[pool]] by its name there and written as there; secrets by where they come from
// ("env:NAME"), never by value (invariant 10). This is what the catalog keeps of a pool.
Json pool_json(const conf::PoolSettings& pool);

// What is wrong with one field; "" = with all of them together.
struct FieldProblem {
    std::string field;
    std::string message;
};

// Reads what pool_json() wrote, or what somebody sent; fields that are not there stay as they are.
// Gives what is unknown, missing or of a wrong type. Ranges and contradictions are not looked for.
std::vector<FieldProblem> read_pool_json(const Json& json, conf::PoolSettings& into);

// One line; bytes that are not UTF-8 are replaced.
std::string text_of(const Json& json);

// The names of the enumerators, as the configuration has them.
std::string_view name_of(conf::PoolSettings::Type type);
std::string_view name_of(conf::PoolSettings::Tier tier);

}  // namespace tidepool::api
