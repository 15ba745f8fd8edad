// What is left of uploads in pieces that nobody went on with.
#pragma once

#include "storage/catalog.h"
#include "storage/resumable_spool.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace tidepool::storage {

// Removes the bytes of those whose time has passed, then what the catalog knows of them, with their
// reservations. What is being written to is left for the next time. Gives how many are gone. Errors
// are those of the catalog. Blocks; any thread.
Result<std::size_t> clean_expired_resumables(Catalog& catalog, ResumableSpool& spool,
                                             std::int64_t now_s);

// Removes files of the spool that the catalog does not know and nobody has written to for a day:
// of uploads that a crash kept from being begun, or ended. Gives how many. Blocks; any thread.
Result<std::size_t> clean_stray_resumables(Catalog& catalog, ResumableSpool& spool,
                                           std::int64_t now_s);

// Its bytes, then what the catalog knows of it. The caller holds it. Blocks; any thread.
Result<void> drop_resumable(Catalog& catalog, ResumableSpool& spool, const std::string& id);

}  // namespace tidepool::storage
