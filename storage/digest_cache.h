// Remembers what a file's content was found to be, so that it is read for that only once.
#pragma once

#include "conf/digest.h"
#include "storage/open_file.h"

#include <array>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace tidepool::storage {

// Least recently used entries go first. `Look` is what the caller wants kept beside the digest. Any
// thread.
template <class Look>
class DigestCache {
  public:
    struct Entry {
        conf::Sha256Digest sha256{};
        Look look{};
    };

    // Holds about `limit` entries.
    explicit DigestCache(std::size_t limit) : shard_limit_(limit / kShards + 1) {}

    std::optional<Entry> find(const FileIdentity& identity) {
        Shard& shard = shard_of(identity);
        const std::lock_guard lock(shard.mutex);
        const auto found = shard.index.find(identity);
        if (found == shard.index.end()) return std::nullopt;
        shard.order.splice(shard.order.begin(), shard.order, found->second);
        return found->second->entry;
    }

    void put(const FileIdentity& identity, const Entry& entry) {
        Shard& shard = shard_of(identity);
        const std::lock_guard lock(shard.mutex);
        if (const auto found = shard.index.find(identity); found != shard.index.end()) {
            found->second->entry = entry;
            return;
        }
        shard.order.push_front({identity, entry});
        shard.index.emplace(identity, shard.order.begin());
        if (shard.index.size() > shard_limit_) {
            shard.index.erase(shard.order.back().identity);
            shard.order.pop_back();
        }
    }

    std::size_t size() const {
        std::size_t total = 0;
        for (const Shard& shard : shards_) {
            const std::lock_guard lock(shard.mutex);
            total += shard.index.size();
        }
        return total;
    }

  private:
    static constexpr std::size_t kShards = 16;
    struct Node {
        FileIdentity identity;
        Entry entry;
    };
    struct Hash {
        std::size_t operator()(const FileIdentity& identity) const {
            std::uint64_t mixed = identity.inode * 0x9E3779B97F4A7C15ULL ^ identity.device;
            mixed =
                (mixed ^ static_cast<std::uint64_t>(identity.changed_ns)) * 0xD6E8FEB86659FD93ULL;
            return mixed ^ (mixed >> 32);
        }
    };
    struct Shard {
        mutable std::mutex mutex;
        std::list<Node> order;  // most recently used first
        std::unordered_map<FileIdentity, typename std::list<Node>::iterator, Hash> index;
    };

    Shard& shard_of(const FileIdentity& identity) {
        return shards_[(Hash()(identity) >> 8) % kShards];
    }

    std::size_t shard_limit_;
    std::array<Shard, kShards> shards_;
};

}  // namespace tidepool::storage
