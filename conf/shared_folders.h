// Pools whose folders are one folder, or one inside the other, by whatever names.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"

namespace tidepool::conf {

// What find_wrong_settings() cannot see, as it only reads: a base_path that leads into another
// pool's by links, by a folder that is mounted twice, or by "..". To be called where nothing else
// is wrong, and before the pools are used. Folders that are not there, or of a disk that does not
// answer within a second, are left out.
Findings find_shared_folders(const Settings& settings);

}  // namespace tidepool::conf
