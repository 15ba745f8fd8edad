#include "storage/job_lanes.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace tidepool::storage {

std::string_view type_of_lane(std::string_view lane) {
    return lane.substr(0, lane.find(' '));
}

std::vector<PoolId> pools_of_lane(std::string_view lane) {
    std::vector<PoolId> pools;
    const std::size_t blank = lane.find(' ');
    if (blank == lane.npos) return pools;
    std::string_view rest = lane.substr(blank + 1);
    while (!rest.empty()) {
        const std::string_view one = rest.substr(0, rest.find('>'));
        rest.remove_prefix(std::min(one.size() + 1, rest.size()));
        PoolId pool = 0;
        const auto read = std::from_chars(one.data(), one.data() + one.size(), pool);
        if (read.ec != std::errc() || read.ptr != one.data() + one.size()) return {};
        pools.push_back(pool);
    }
    return pools;
}

std::size_t room_in_lane(const DriverSet& drivers, const std::string& lane,
                         const JobRunner::Running& running) {
    std::size_t room = std::numeric_limits<std::size_t>::max();
    for (const PoolId pool : pools_of_lane(lane)) {
        std::size_t at_work = 0;
        for (const auto& [other, count] : running) {
            const auto pools = pools_of_lane(other);
            if (std::ranges::find(pools, pool) != pools.end()) at_work += count;
        }
        const auto limit = drivers.jobs_of(pool);
        if (limit) room = std::min(room, *limit > at_work ? *limit - at_work : 0);
    }
    return room;
}

}  // namespace tidepool::storage
