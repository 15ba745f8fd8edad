// The jobs that move images, and those that clean up behind them. Pure.
#pragma once

#include "storage/catalog_records.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tidepool::storage {

// What is to be moved: an image as a whole, or an object that belongs to none.
struct MoveTarget {
    std::optional<Uuid> image;
    std::string key;  // where there is no image
    PoolId to = 0;
};
// As the names of its jobs have it.
std::string name_of(const MoveTarget& target);

// The job that moves it. A second one of the same image is not queued while one is open.
NewJob move_job(const MoveTarget& target, PoolId from, int priority, const std::string& batch);
// What such a job is about; invalid where its payload says nothing that can be understood.
Result<MoveTarget> target_of(const JobRecord& job);

// Where a content was seen to be safe, and since when at the latest.
struct MoveProof {
    PoolId pool = 0;  // 0: nowhere
    std::int64_t at_s = 0;
};

// What stays behind where it is not needed any more.
struct Leftover {
    std::string key;
    std::string stamp;  // by which a file is known again
};
std::string stamp_of(std::uint64_t size, std::int64_t modified_s);

// What a "clean" is about.
struct Cleaning {
    MoveTarget from;  // `to` is the pool that it cleans
    std::vector<Leftover> leftovers;
    // What else the image has by then, too.
    bool is_whole = false;
    MoveProof proof{};
};
// The job that removes them. It removes nothing that is to be there when it is done. Each is a job
// of its own, so that none does with another one's keys or waiting time.
NewJob clean_job(const Cleaning& cleaning, std::int64_t not_before_s);
// What such a job is about; invalid as that of a move.
Result<Cleaning> cleaning_of(const JobRecord& job);

// Of a move that failed for good or was cancelled: it may have left copies of these objects where
// it was to go.
NewJob clean_after_move(const MoveTarget& target, std::span<const ObjectRecord> objects,
                        std::int64_t now_s);
// Of a move that may have copied these objects before their rows went.
NewJob clean_of_removed(const MoveTarget& target, std::span<const ObjectRecord> objects,
                        std::int64_t now_s);

}  // namespace tidepool::storage
