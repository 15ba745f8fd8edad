// What became of uploads, for the metrics.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tidepool::api {

// Written and read by any thread.
struct UploadCounters {
    std::atomic<std::uint64_t> stored = 0;
    std::atomic<std::uint64_t> duplicates = 0;
    std::atomic<std::uint64_t> refused = 0;  // by the client's fault
    std::atomic<std::uint64_t> failed = 0;   // by ours, or a disk's or bucket's
    std::atomic<std::uint64_t> bytes = 0;    // stored
    std::atomic<std::size_t> running = 0;
};

}  // namespace tidepool::api
