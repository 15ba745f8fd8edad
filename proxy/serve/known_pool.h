// A pool as the server and the commands know it, whoever said that there is one.
#pragma once

#include "conf/settings.h"
#include "storage/catalog_records.h"

#include <string>

namespace tidepool::serve {

struct KnownPool {
    conf::PoolSettings settings;  // is_active is false where `state` says so
    storage::PoolId id = 0;       // 0: there is no catalog
    storage::PoolRecord::Origin origin = storage::PoolRecord::Origin::file;
    storage::PoolRecord::State state = storage::PoolRecord::State::active;
    std::string problem{};  // why it cannot be used, and so is not active; "" = it can
    bool operator==(const KnownPool&) const = default;
};

}  // namespace tidepool::serve
