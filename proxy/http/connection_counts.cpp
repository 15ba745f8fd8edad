#include "proxy/http/connection_counts.h"

#include <cstring>

namespace tidepool::http {

namespace {

conf::IpAddress counted_as(const Peer& peer) {
    conf::IpAddress address = peer.address;
    if (!peer.trusted && !address.is_v4()) {
        for (std::size_t i = 8; i < address.bytes.size(); ++i)
            address.bytes[i] = 0;
    }
    return address;
}

}  // namespace

std::size_t ConnectionCounts::Hash::operator()(const conf::IpAddress& address) const {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, address.bytes.data(), 8);
    std::memcpy(&low, address.bytes.data() + 8, 8);
    std::uint64_t mixed = (high ^ (low * 0x9E3779B97F4A7C15ULL)) * 0xD6E8FEB86659FD93ULL;
    mixed ^= mixed >> 32;
    return mixed;
}

unsigned ConnectionCounts::enter(const Peer& peer) {
    total_.fetch_add(1, std::memory_order_relaxed);
    const conf::IpAddress address = counted_as(peer);
    Shard& shard = shard_of(address);
    const std::lock_guard lock(shard.mutex);
    return ++shard.peers[address];
}

void ConnectionCounts::leave(const Peer& peer) {
    total_.fetch_sub(1, std::memory_order_relaxed);
    const conf::IpAddress address = counted_as(peer);
    Shard& shard = shard_of(address);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.peers.find(address);
    if (found != shard.peers.end() && --found->second == 0) shard.peers.erase(found);
}

}  // namespace tidepool::http
