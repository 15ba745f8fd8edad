// How often each API key or client address may do something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidepool::upload {

// A token bucket for each key. It holds as many as are allowed in a minute, so that many may be
// taken at once, and is filled evenly. A bucket that is full again is forgotten, as it says
// nothing.
//
// Any thread. Memory is bounded: with `most_keys` buckets that are not full, the one that was not
// asked for longest makes room for the next. That gives its key a full bucket again, so take a
// number that costs more to reach than it is worth.
class RateLimiter {
  public:
    explicit RateLimiter(std::size_t most_keys);

    // Takes one from the key's bucket: nothing where there was one, else in how many seconds there
    // will be, at least 1, for Retry-After; then nothing is taken. `per_minute` may be another each
    // time; 0 is no limit. `now_ms` is of a clock that does not go back.
    std::optional<std::int64_t> refuse_for(std::string_view key, unsigned per_minute,
                                           std::uint64_t now_ms);

    // How many buckets are remembered.
    std::size_t size() const;

  private:
    struct Bucket;
    using Buckets = std::unordered_map<std::string, Bucket>;
    using ByFull = std::multimap<std::uint64_t, const std::string*>;  // by when they are full
    using ByUse = std::list<const std::string*>;                      // used last comes last
    struct Bucket {
        ByFull::iterator full;
        ByUse::iterator use;
    };
    // A part of the keys. All that point at a key point into `buckets`.
    struct Shard {
        mutable std::mutex mutex;
        Buckets buckets;
        ByFull by_full;
        ByUse by_use;
    };

    static void forget(Shard& shard, const std::string* key);
    Bucket& bucket_of(Shard& shard, std::string_view key, std::uint64_t now_ns) const;

    const std::size_t most_per_shard_;
    std::vector<Shard> shards_;
};

}  // namespace tidepool::upload
