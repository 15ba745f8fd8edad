// The driver of a pool, by its settings.
#pragma once

#include "conf/settings.h"
#include "storage/driver.h"

#include <memory>
#include <string>

namespace tidepool::cli {

// `key_prefix` is what keys have in front of their place below a local pool's base path
// ("uploads/"). Asks no store.
Result<std::unique_ptr<storage::Driver>> make_driver(const conf::PoolSettings& pool,
                                                     const std::string& key_prefix);

}  // namespace tidepool::cli
