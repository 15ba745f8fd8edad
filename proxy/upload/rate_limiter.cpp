#include "proxy/upload/rate_limiter.h"

#include "conf/digest.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace tidepool::upload {

namespace {

constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNanosecondsPerMinute = 60 * kNanosecondsPerSecond;
// Fewer keys than this in a shard are not worth a lock of their own.
constexpr std::size_t kLeastPerShard = 64;
constexpr std::size_t kMostShards = 16;
// Longer keys are remembered by their hash, so that it is not the client who says how much a bucket
// takes.
constexpr std::size_t kMostKeyBytes = 64;
// How many full buckets one call forgets: more than it makes, few enough not to be felt.
constexpr int kForgottenAtOnce = 4;

std::size_t shards_for(std::size_t most_keys) {
    return std::clamp<std::size_t>(most_keys / kLeastPerShard, 1, kMostShards);
}

}  // namespace

RateLimiter::RateLimiter(std::size_t most_keys)
    : most_per_shard_(std::max<std::size_t>(most_keys / shards_for(most_keys), 1)),
      shards_(shards_for(most_keys)) {}

// A bucket is known by when it will be full: each that is taken moves that by the time in which one
// is filled in, and it is empty where a whole minute is missing (the generic cell rate algorithm).
std::optional<std::int64_t> RateLimiter::refuse_for(std::string_view key, unsigned per_minute,
                                                    std::uint64_t now_ms) {
    if (per_minute == 0) return std::nullopt;
    std::string shortened;
    if (key.size() > kMostKeyBytes) {
        shortened = conf::hex(conf::sha256(key));
        key = shortened;
    }
    const std::uint64_t now_ns = now_ms * kNanosecondsPerMillisecond;
    const std::uint64_t interval_ns = kNanosecondsPerMinute / per_minute;
    Shard& shard = shards_[std::hash<std::string_view>()(key) % shards_.size()];
    const std::scoped_lock lock(shard.mutex);
    Bucket& bucket = bucket_of(shard, key, now_ns);
    const std::uint64_t full_ns = std::max(bucket.full->first, now_ns) + interval_ns;
    const std::uint64_t latest_ns = now_ns + kNanosecondsPerMinute;
    if (full_ns > latest_ns) {
        const std::uint64_t wait_ns = full_ns - latest_ns;
        return static_cast<std::int64_t>((wait_ns + kNanosecondsPerSecond - 1) /
                                         kNanosecondsPerSecond);
    }
    auto node = shard.by_full.extract(bucket.full);
    node.key() = full_ns;
    bucket.full = shard.by_full.insert(std::move(node));
    return std::nullopt;
}

std::size_t RateLimiter::size() const {
    std::size_t count = 0;
    for (const Shard& shard : shards_) {
        const std::scoped_lock lock(shard.mutex);
        count += shard.buckets.size();
    }
    return count;
}

// The key's bucket, used last now; a new one is full.
RateLimiter::Bucket& RateLimiter::bucket_of(Shard& shard, std::string_view key,
                                            std::uint64_t now_ns) const {
    for (int i = 0; i < kForgottenAtOnce && !shard.by_full.empty(); ++i) {
        if (shard.by_full.begin()->first > now_ns) break;
        forget(shard, shard.by_full.begin()->second);
    }
    const auto [found, is_new] = shard.buckets.try_emplace(std::string(key));
    Bucket& bucket = found->second;
    if (!is_new) {
        shard.by_use.splice(shard.by_use.end(), shard.by_use, bucket.use);
        return bucket;
    }
    if (shard.buckets.size() > most_per_shard_) forget(shard, shard.by_use.front());
    bucket.full = shard.by_full.emplace(now_ns, &found->first);
    bucket.use = shard.by_use.insert(shard.by_use.end(), &found->first);
    return bucket;
}

void RateLimiter::forget(Shard& shard, const std::string* key) {
    const auto found = shard.buckets.find(*key);
    shard.by_full.erase(found->second.full);
    shard.by_use.erase(found->second.use);
    shard.buckets.erase(found);
}

}  // namespace tidepool::upload
