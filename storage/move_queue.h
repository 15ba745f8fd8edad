// Queues moves of many images.
#pragma once

#include "storage/catalog.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tidepool::storage {

struct MoveSelection {
    PoolId from = 0;
    PoolId to = 0;
    std::optional<std::int64_t> uploaded_before_s{};
    std::optional<std::int64_t> viewed_before_s{};  // images that nobody has looked at since
    std::uint64_t limit = 0;                        // of images; 0 = all
};

struct MovePlan {
    std::uint64_t images = 0;   // and objects that belong to none
    std::uint64_t objects = 0;  // of these, with their variants
    std::uint64_t bytes = 0;
};

// Queues a move for each image of the pool that is selected, and for each object there that belongs
// to none; variants whose image lives in another pool are sent to it. With `batch` empty nothing is
// queued. `report` is told now and then how far it came. What is queued by the time of an error
// stays so; doing it again queues the rest. `queued`, if any, gets the jobs, of which some may have
// been open before.
Result<MovePlan> queue_moves(Catalog& catalog, const MoveSelection& selection,
                             const std::string& batch, int priority, std::int64_t now_s,
                             const std::function<void(const MovePlan&)>& report,
                             std::vector<JobId>* queued = nullptr);

}  // namespace tidepool::storage
