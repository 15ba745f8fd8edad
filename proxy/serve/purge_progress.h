// How far purges are that come back, so that they go on where they were.
#pragma once

#include "proxy/serve/zone_call.h"
#include "storage/catalog_records.h"
#include "storage/visitor_urls.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

namespace tidepool::serve {

// In memory alone: what is not known any more is told to the edge once more. Any thread.
class PurgeProgress {
  public:
    // Keeps at most so many items and URLs of all purges together, each a few hundred bytes.
    explicit PurgeProgress(std::size_t most) : most_(most) {}

    struct Progress {
        std::int64_t asked = 0;  // of the wish that it is the progress of
        std::map<ZoneItem, std::int64_t> told_ms{};
        bool is_refused = false;  // visitors were, as it was verified
        std::set<storage::VisitorUrl> verified{};

        std::size_t size() const { return told_ms.size() + verified.size(); }
    };

    // None where the job was asked for more since.
    Progress of(storage::JobId job, std::int64_t asked) const;
    // Where there is no room, all others are forgotten, as nobody tells of jobs that another
    // process has ended; what is too much by itself is not kept.
    void keep(storage::JobId job, const Progress& progress);
    void forget(storage::JobId job);

  private:
    void drop(storage::JobId job);  // the lock is held

    const std::size_t most_;
    mutable std::mutex mutex_;
    std::map<storage::JobId, Progress> known_;
    std::size_t size_ = 0;  // of all
};

}  // namespace tidepool::serve
