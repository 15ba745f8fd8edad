// A pool as the server and the commands know it, whoever said that there is one.
#pragma once

#include "conf/settings.h"
#include "storage/catalog_records.h"

#include <string>

namespace tidepool::storage {

struct KnownPool {
    conf::PoolSettings settings;  // is_active is false where `state` says so
    PoolId id = 0;                // 0: there is no catalog
    PoolRecord::Origin origin = PoolRecord::Origin::file;
    PoolRecord::State state = PoolRecord::State::active;
    std::string problem{};  // why it cannot be used, and so is not active; "" = it can
    bool operator==(const KnownPool&) const = default;
};

}  // namespace tidepool::storage
