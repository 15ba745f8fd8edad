// A pool's settings as JSON, without its secrets.
#pragma once

#include "conf/settings.h"

#include <string>
#include <string_view>

namespace tidepool::api {

// Every field of [[pool]] by its name there, sizes in bytes; secrets by where they come from
// ("env:NAME"), never by value (invariant 10). This is what the catalog keeps of a pool.
std::string pool_json(const conf::PoolSettings& pool);

// The names of the enumerators, as the configuration has them.
std::string_view name_of(conf::PoolSettings::Type type);
std::string_view name_of(conf::PoolSettings::Tier tier);

}  // namespace tidepool::api
