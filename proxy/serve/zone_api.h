// Asks the edge's API to forget, and asks the edge whether it has. Blocking.
#pragma once

#include "conf/settings.h"
#include "proxy/serve/call_pace.h"
#include "proxy/serve/edge_memory.h"
#include "proxy/serve/zone_call.h"
#include "storage/s3_http.h"
#include "storage/visitor_urls.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <mutex>
#include <span>

namespace tidepool::serve {

// Any thread. One for each process, as its paces are those of the zone.
class ZoneApi {
  public:
    explicit ZoneApi(const conf::PurgeSettings& settings);

    // How many items one call may name.
    std::size_t items_per_call(ZoneItem::Kind kind) const;
    // Waits until the zone's pace allows for a call for such items, but for no longer than so: 0,
    // and the call counts as made; else after how many seconds it will allow for one. Some of the
    // pace is kept for takedowns.
    std::int64_t wait_for_turn(ZoneItem::Kind kind, std::chrono::milliseconds longest,
                               bool is_takedown);
    // One call; items as of purge_body. Nothing is tried again.
    std::expected<void, ZoneFailure> purge(std::span<const ZoneItem> items);
    // What the edge gives to a visitor for this URL. It may have to ask the origin for it.
    Result<EdgeGlance> look(const storage::VisitorUrl& url);

    // Ends what waits and what runs, within a second. Never blocks.
    void stop();

    // By what came of them.
    enum class Met : std::uint8_t { done, refused, denied, limited, failed };
    std::uint64_t calls(Met met) const { return calls_.at(static_cast<std::size_t>(met)); }

  private:
    CallPace& pace_of(ZoneItem::Kind kind);
    void count(const std::expected<void, ZoneFailure>& outcome);

    const conf::PurgeSettings settings_;
    storage::S3Http http_;
    std::mutex mutex_;
    std::condition_variable stopping_;
    std::atomic<bool> stopped_ = false;
    CallPace url_pace_;
    CallPace tag_pace_;
    std::array<std::atomic<std::uint64_t>, 5> calls_{};
};

}  // namespace tidepool::serve
