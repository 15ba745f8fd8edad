#include "proxy/upload/processing.h"

#include "storage/job_lanes.h"

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;

TEST_CASE("processing: each owner has a lane, whatever it is called", "[upload][jobs]") {
    const auto lane_of = [](std::string_view owner) {
        const storage::NewJob job = process_job("uploads/original/a.jpg", storage::Uuid{1}, owner);
        CHECK(job.type == kProcessType);
        CHECK(job.lane.starts_with("process "));
        CHECK(storage::pools_of_lane(job.lane).empty());  // no pool's limits are meant
        return job.lane;
    };
    CHECK(lane_of("7") == lane_of("7"));
    CHECK(lane_of("7") != lane_of("8"));
    for (const char* const owner : {"", "1>2", "a 1", " "})
        CHECK(lane_of(owner) != lane_of("7"));
}
