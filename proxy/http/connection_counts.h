// How many connections there are, in all and of one peer, and what they hold, over all loops.
#pragma once

#include "proxy/http/handler.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace tidepool::http {

// Any thread. Bounded by the connections that exist: a peer without one has no entry.
class ConnectionCounts {
  public:
    // Counts a new connection; returns how many the peer has now, this one included. An untrusted
    // IPv6 peer is its /64, since that is what one household gets.
    unsigned enter(const Peer& peer);
    void leave(const Peer& peer);
    unsigned total() const { return total_.load(std::memory_order_relaxed); }

    // Answers over HTTP/2 that hold a file or memory until their bodies have left: those that
    // connections have beyond their first. Each connection tells when its number changes.
    void change_answers(unsigned before, unsigned now) {
        answers_.fetch_add(now - before, std::memory_order_relaxed);
    }
    unsigned answers() const { return answers_.load(std::memory_order_relaxed); }

  private:
    static constexpr std::size_t kShards = 16;
    struct Hash {
        std::size_t operator()(const conf::IpAddress& address) const;
    };
    struct Shard {
        std::mutex mutex;
        std::unordered_map<conf::IpAddress, unsigned, Hash> peers;
    };

    Shard& shard_of(const conf::IpAddress& address) { return shards_[Hash()(address) % kShards]; }

    std::atomic<unsigned> total_ = 0;
    std::atomic<unsigned> answers_ = 0;
    std::array<Shard, kShards> shards_;
};

}  // namespace tidepool::http
