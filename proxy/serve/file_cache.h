// What is known of the files: present with content or descriptor, or absent. Shared by all loops.
#pragma once

#include "conf/settings.h"
#include "proxy/serve/cached_file.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidepool::serve {

// Sharded, each shard behind a mutex that is held for a lookup's length. Three kinds of entries
// have limits of their own (bytes in memory, descriptors, absent names), so that a flood of wrong
// names cannot push out what is there; within a kind the least recently used go first. Times are
// milliseconds of the monotonic clock.
class FileCache {
  public:
    explicit FileCache(const conf::CacheSettings& settings);

    enum class State : std::uint8_t {
        unknown,  // nothing is known
        fresh,    // may be used
        ageing,   // may be used, and the caller, nobody else, shall have it checked now
        stale,    // must be checked before it is used
    };
    struct Lookup {
        State state = State::unknown;
        std::shared_ptr<const CachedFile>
            file;  // null with a state other than unknown: known to be absent
    };
    Lookup find(std::string_view key, std::uint64_t now_ms);

    // Notes what a look at the disk that began at `looked_ms` found; null is absent. Ignored where
    // clear(), or forget() of this key, was called since `generation` was read.
    void put(std::string_view key, std::shared_ptr<const CachedFile> file, std::uint64_t looked_ms,
             std::uint64_t generation);
    // The check that `ageing` asked for did not come to an end; somebody else may try.
    void give_up_check(std::string_view key);

    // Puts `file` where `known` is, and leaves what was learnt otherwise meanwhile. With
    // `must_look` it is stale: known, but to be checked before it is used.
    void replace(std::string_view key, const std::shared_ptr<const CachedFile>& known,
                 std::shared_ptr<const CachedFile> file, bool must_look);
    // Forgets what is known of the key, as it has just been changed from here.
    void forget(std::string_view key);

    // The same of all keys of an image, whatever is known of them. Walks through all that is there.
    void forget_image(const storage::Uuid& image);

    // Lets go of open files of the shelf that have no name any more, as they take up a disk's room
    // unseen. Asks the kernel about each; never on a loop.
    void drop_unlinked();

    // Whether a body of this size is held in memory at all.
    bool holds_in_memory(std::uint64_t bytes) const;

    void clear();
    // Both parts only grow, so that their sum is the same only where they are. Keys share the count
    // of what was forgotten with some others.
    std::uint64_t generation(std::string_view key) const {
        return generation_.load(std::memory_order_acquire) +
               forgotten_[slot_of(key)].load(std::memory_order_acquire);
    }

    struct Usage {
        std::size_t memory_entries = 0;
        std::size_t memory_bytes = 0;
        std::size_t open_files = 0;
        std::size_t absent_entries = 0;
        std::size_t remote_entries = 0;
        std::uint64_t evictions = 0;
    };
    Usage usage() const;

  private:
    enum Kind : std::uint8_t { memory, open_file, absent, remote };
    static constexpr std::size_t kKinds = 4;
    static constexpr std::size_t kShards = 16;

    struct Entry {
        std::string key;
        std::shared_ptr<const CachedFile> file;
        std::uint64_t looked_ms = 0;
        std::uint64_t moved_ms = 0;  // to the front of its order
        bool being_checked = false;

        Kind kind() const {
            if (!file || file->is_deleted()) return absent;
            if (file->in_memory()) return memory;
            return file->held == CachedFile::Held::in_file ? open_file : remote;
        }
        std::size_t cost() const {
            return file && file->in_memory() ? key.size() + file->cost() : 1;
        }
    };
    using Order = std::list<Entry>;  // most recently used first
    struct Shard {
        mutable std::mutex mutex;
        std::unordered_map<std::string_view, Order::iterator> index;  // keys live in the entries
        std::array<Order, kKinds> orders;
        std::array<std::size_t, kKinds> used{};
        std::uint64_t evictions = 0;
    };

    static constexpr std::size_t kSlots = 4096;

    Shard& shard_of(std::string_view key) {
        return shards_[(std::hash<std::string_view>()(key) >> 7) % kShards];
    }
    static std::size_t slot_of(std::string_view key) {
        return (std::hash<std::string_view>()(key) >> 11) % kSlots;
    }
    static void remove(Shard& shard, Order::iterator entry, std::vector<Entry>& removed);
    void make_room(Shard& shard, Kind kind, std::vector<Entry>& removed) const;

    std::array<std::size_t, kKinds> shard_limits_;
    std::uint64_t memory_object_bytes_;
    std::uint64_t freshness_ms_;
    std::atomic<std::uint64_t> generation_ = 0;
    std::array<std::atomic<std::uint64_t>, kSlots> forgotten_{};
    std::array<Shard, kShards> shards_;
};

}  // namespace tidepool::serve
