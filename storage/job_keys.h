// The names under which jobs about one image are not queued twice (NewJob::dedup_key), and by which
// others see that they are open. `name` is the image's UUID, or the key of an object of no image.
#pragma once

#include "storage/catalog_records.h"

#include <cstddef>
#include <string>

namespace tidepool::storage {

std::string move_key(const std::string& name);
// Removes from this pool what a move has left there. Several may be open, see Catalog::jobs_named.
std::string clean_key(PoolId pool, const std::string& name);
std::string delete_key(const std::string& name);
// Copies the object of this key into a backup pool or a mirror.
std::string copy_key(PoolId target, const std::string& key);
std::string purge_key(const std::string& name);

// The key of the Nth job that is open under one name at a time, see NewJob::merged and is_apart;
// the first one's is the name itself.
std::string numbered_key(const std::string& key, std::size_t number);

}  // namespace tidepool::storage
