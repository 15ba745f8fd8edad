// Keeps an image from being brought to a pool while something is done with what it left there.
#pragma once

#include "storage/catalog.h"
#include "storage/known_pool.h"

#include <optional>
#include <string>

namespace tidepool::storage {

// A job under the name of those that clean up behind a move, for which every move to that pool and
// from it waits, and every clean that is queued meanwhile (see Mover). It is ours from the start.
// Where we die the next who looks for jobs does it: its type is "reconcile", so it does what was
// begun. The catalog outlives the hold.
class ImageHold {
  public:
    // Nothing where some job has that name already, or a move is open or not let go of. `asking` is
    // a job that is run right now and may be that one.
    static Result<std::optional<ImageHold>> take(Catalog& catalog, const KnownPool& pool,
                                                 const ObjectRecord& object, JobId asking);
    ~ImageHold();
    ImageHold(ImageHold&& other) noexcept;
    ImageHold& operator=(ImageHold&&) = delete;

  private:
    ImageHold(Catalog& catalog, JobId job, std::string owner);

    Catalog* catalog_;
    JobId job_;  // 0: there is nothing to let go
    std::string owner_;
};

}  // namespace tidepool::storage
