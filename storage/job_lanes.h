// How many jobs may work on a pool at a time.
#pragma once

#include "storage/driver_set.h"
#include "storage/job_runner.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// The kind of jobs that are in it: "move" of "move 3>7", "purge" of "purge".
std::string_view type_of_lane(std::string_view lane);

// The pools that a lane's jobs work on: "move 3>7" on two, "clean 3" on one, "purge" on none that
// its name says.
std::vector<PoolId> pools_of_lane(std::string_view lane);

// By PoolSettings::jobs: how many jobs of this lane may begin beside those that run.
std::size_t room_in_lane(const DriverSet& drivers, const std::string& lane,
                         const JobRunner::Running& running);

}  // namespace tidepool::storage
