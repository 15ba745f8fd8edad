#include "proxy/serve/file_cache.h"

#include <algorithm>
#include <utility>

namespace tidepool::serve {

namespace {

// "Least recently used" to this precision.
constexpr std::uint64_t kMoveEveryMs = 100;

std::size_t share(std::uint64_t limit, std::size_t shards) {
    return std::max<std::size_t>(1, static_cast<std::size_t>(limit) / shards);
}

}  // namespace

FileCache::FileCache(const conf::CacheSettings& settings)
    : shard_limits_{share(settings.memory_bytes, kShards), share(settings.files, kShards),
                    share(settings.absent, kShards), share(settings.absent, kShards)},
      memory_object_bytes_(settings.memory_object_bytes),
      freshness_ms_(static_cast<std::uint64_t>(settings.freshness.count())) {}

FileCache::Lookup FileCache::find(std::string_view key, std::uint64_t now_ms) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(key);
    if (found == shard.index.end()) return {};
    Entry& entry = *found->second;
    // Not at every hit: moving an entry touches its neighbours, which are no longer in the CPU's
    // caches.
    if (now_ms >= entry.moved_ms + kMoveEveryMs) {
        entry.moved_ms = now_ms;
        Order& order = shard.orders[entry.kind()];
        order.splice(order.begin(), order, found->second);
    }
    // Loops read the clock at their own times: a look may seem to lie ahead.
    const std::uint64_t age = now_ms - std::min(now_ms, entry.looked_ms);
    State state = State::fresh;
    if (age >= freshness_ms_) {
        state = State::stale;
    } else if (age >= freshness_ms_ / 2 && !std::exchange(entry.being_checked, true)) {
        state = State::ageing;
    }
    return {state, entry.file};
}

void FileCache::remove(Shard& shard, Order::iterator entry, std::vector<Entry>& removed) {
    const Kind kind = entry->kind();
    shard.used[kind] -= entry->cost();
    shard.index.erase(entry->key);
    removed.push_back(std::move(*entry));
    shard.orders[kind].erase(entry);
}

void FileCache::make_room(Shard& shard, Kind kind, std::vector<Entry>& removed) const {
    while (shard.used[kind] > shard_limits_[kind] && shard.orders[kind].size() > 1) {
        remove(shard, std::prev(shard.orders[kind].end()), removed);
        ++shard.evictions;
    }
}

void FileCache::put(std::string_view key, std::shared_ptr<const CachedFile> file,
                    std::uint64_t looked_ms, std::uint64_t generation) {
    std::vector<Entry> removed;  // freed and closed after the lock
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(key);
    if (generation != this->generation(key)) {
        if (found != shard.index.end()) found->second->being_checked = false;  // by somebody else
        return;
    }
    if (found != shard.index.end() && found->second->file == file) {
        found->second->looked_ms = looked_ms;
        found->second->being_checked = false;
        return;
    }
    if (found != shard.index.end()) remove(shard, found->second, removed);
    Entry entry{std::string(key), std::move(file), looked_ms, looked_ms, false};
    const Kind kind = entry.kind();
    shard.used[kind] += entry.cost();
    Order& order = shard.orders[kind];
    order.push_front(std::move(entry));
    shard.index.emplace(order.front().key, order.begin());
    make_room(shard, kind, removed);
}

void FileCache::give_up_check(std::string_view key) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(key);
    if (found != shard.index.end()) found->second->being_checked = false;
}

void FileCache::replace(std::string_view key, const std::shared_ptr<const CachedFile>& known,
                        std::shared_ptr<const CachedFile> file, bool must_look) {
    std::uint64_t looked_ms = 0;
    std::uint64_t generation = 0;
    {
        Shard& shard = shard_of(key);
        const std::lock_guard lock(shard.mutex);
        const auto found = shard.index.find(key);
        if (found == shard.index.end() || found->second->file != known) return;
        if (!must_look) looked_ms = found->second->looked_ms;
        generation = this->generation(key);
    }
    put(key, std::move(file), looked_ms, generation);
}

void FileCache::forget(std::string_view key) {
    std::vector<Entry> removed;
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    forgotten_[slot_of(key)].fetch_add(1, std::memory_order_acq_rel);
    const auto found = shard.index.find(key);
    if (found != shard.index.end()) remove(shard, found->second, removed);
}

void FileCache::forget_image(const storage::Uuid& image) {
    // What is being looked for just now was asked of an image that was another.
    generation_.fetch_add(1, std::memory_order_acq_rel);
    const auto is_of_it = [&image](const Entry& entry) {
        return storage::parse_image_key(entry.key).image == image;
    };
    for (Shard& shard : shards_) {
        std::vector<Entry> removed;
        const std::lock_guard lock(shard.mutex);
        for (Order& order : shard.orders) {
            for (auto entry = order.begin(); entry != order.end();) {
                const auto next = std::next(entry);
                if (is_of_it(*entry)) remove(shard, entry, removed);
                entry = next;
            }
        }
    }
}

void FileCache::drop_unlinked() {
    for (Shard& shard : shards_) {
        std::vector<Entry> removed;
        const std::lock_guard lock(shard.mutex);
        Order& order = shard.orders[open_file];
        for (auto entry = order.begin(); entry != order.end();) {
            const auto next = std::next(entry);
            const bool is_shelved = entry->file->remote != nullptr;
            if (is_shelved && entry->file->file->is_unlinked()) remove(shard, entry, removed);
            entry = next;
        }
    }
}

bool FileCache::holds_in_memory(std::uint64_t bytes) const {
    return bytes <= memory_object_bytes_ && bytes <= shard_limits_[memory] / 2;
}

void FileCache::clear() {
    generation_.fetch_add(1, std::memory_order_acq_rel);
    for (Shard& shard : shards_) {
        std::array<Order, kKinds> removed;
        const std::lock_guard lock(shard.mutex);
        shard.index.clear();
        shard.orders.swap(removed);
        shard.used = {};
    }
}

FileCache::Usage FileCache::usage() const {
    Usage usage;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        usage.memory_entries += shard.orders[memory].size();
        usage.memory_bytes += shard.used[memory];
        usage.open_files += shard.orders[open_file].size();
        usage.absent_entries += shard.orders[absent].size();
        usage.remote_entries += shard.orders[remote].size();
        usage.evictions += shard.evictions;
    }
    return usage;
}

}  // namespace tidepool::serve
