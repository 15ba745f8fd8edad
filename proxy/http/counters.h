// What one loop counts. Written by that loop alone, read by whoever gathers metrics.
#pragma once

#include "proxy/http/refusal.h"
#include "proxy/http/response.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tidepool::http {

// A number with one writer: adding is a plain load and store, never a locked instruction.
class Counter {
  public:
    void add(std::uint64_t amount = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_ = 0;
};

// Upper bounds in microseconds of the latency histogram's buckets; one more bucket takes the rest.
inline constexpr std::array<std::uint64_t, 15> kLatencyBoundsUs{
    50,     100,    250,     500,     1'000,     2'500,     5'000,     10'000,
    25'000, 50'000, 100'000, 250'000, 1'000'000, 5'000'000, 30'000'000};

struct Counters {
    std::array<std::array<Counter, kSources>, 6> requests;  // [status / 100][source]
    std::array<Counter, kLatencyBoundsUs.size() + 1> latency;
    Counter latency_sum_us;
    Counter body_bytes;
    Counter broken_answers;  // cut before their end
    Counter slow_readers;    // of these, cut by us for min_send_rate
    Counter accepted;
    Counter closed;
    Counter dropped;        // connections closed without an answer: far above the limit
    Counter accept_errors;  // tries to accept that failed for want of descriptors or memory
    std::array<Counter, kRefusals> refused;
    std::array<std::array<Counter, 2>, 2> handshakes;  // [TLS 1.3][resumed]
    Counter handshakes_failed;                         // what came was no TLS that we speak
    Counter handshakes_timed_out;
    Counter handshakes_closed;  // by the peer, before their end
    Counter http2_connections;
    Counter http2_requests;
    Counter http2_resets;  // requests that clients took back
    Counter http2_floods;  // connections ended for what they sent to no purpose

    void count_latency(std::uint64_t us) {
        std::size_t bucket = 0;
        while (bucket < kLatencyBoundsUs.size() && us > kLatencyBoundsUs[bucket])
            ++bucket;
        latency[bucket].add();
        latency_sum_us.add(us);
    }
};

}  // namespace tidepool::http
