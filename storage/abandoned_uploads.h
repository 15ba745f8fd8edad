// What is left of uploads whose process has ended.
#pragma once

#include "storage/catalog.h"
#include "storage/driver_set.h"

#include <cstddef>
#include <cstdint>

namespace tidepool::storage {

// After which a store has ended, or given up, what it was asked for.
inline constexpr std::int64_t kLateAnswerS = 120;

// Removes the bytes of uploads that nobody goes on with, then what the catalog knows of them, and
// forgets sessions that have run out. One that cannot be cleaned now, as its pool does not answer,
// is left for the next time; and one whose process has just ended, where a bucket may be about to
// store what that had sent. Gives how many uploads are gone. Errors are those of the catalog.
// Blocks; any thread.
Result<std::size_t> clean_abandoned_uploads(Catalog& catalog, DriverSet& drivers,
                                            std::int64_t now_s);

}  // namespace tidepool::storage
