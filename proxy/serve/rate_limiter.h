// How often somebody may do something: token buckets in a table of a fixed size.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

namespace tidepool::serve {

// How many tokens a bucket holds, and how fast it is filled.
struct RateLimit {
    std::uint64_t interval_ns = 0;  // in which a token comes back; never 0
    std::uint64_t capacity_ns = 0;  // in which an empty bucket gets full

    // `requests` in each `per`, evenly, and `burst` at once where none were made before. Neither is
    // 0, and there are no more than one a nanosecond.
    static RateLimit of(unsigned requests, std::chrono::milliseconds per, unsigned burst);
};

// Whose bucket, and of which limit: any two numbers, which need not be spread well.
struct RateKey {
    std::uint64_t who = 0;
    std::uint64_t what = 0;

    // Of texts of any length.
    static RateKey of(std::string_view text);
};

// Any thread. Asking allocates nothing, and takes one lock of many.
//
// A bucket takes 16 bytes, and there is room for `most_buckets` from the start. It has eight places
// where it may be, by a keyed hash. One that is full again is as good as none. Where all eight are
// taken, the one that is fullest, by what it holds when it is full, makes room. So whoever floods
// the table with addresses that ask once each only drives out their like: to get a client out that
// is being limited takes addresses of which each has used up more than that client has, eight at a
// place that nobody can compute, so near to as many as the table has places. What it gains is one
// full bucket for each of these; new clients that meet such a place are hardly limited meanwhile.
// Take a size that costs more to reach than that is worth.
class RateLimiter {
  public:
    explicit RateLimiter(std::size_t most_buckets);

    // Takes a token from the key's bucket: nothing where there was one, else in how many seconds
    // there will be, at least 1, for Retry-After; then nothing is taken. The limit may be another
    // each time. `now_ms` is of a clock that does not go back; as each thread looks at it when it
    // can, one that is behind what another has said is taken to be there, too.
    std::optional<std::int64_t> refuse_for(const RateKey& key, const RateLimit& limit,
                                           std::uint64_t now_ms);

    std::size_t most_buckets() const { return buckets_.size(); }
    // How many a limiter of this size really has room for, as each place has as many.
    static std::size_t room_for(std::size_t most_buckets);
    // How many are not full. Buckets get full with time alone, so that nobody could count them as
    // it happens: of a large table kLookedAt are looked at and the rest is taken to be like them,
    // as each key's place is a matter of chance. So a loop that asks is held up for some hundred
    // microseconds at most.
    std::size_t size(std::uint64_t now_ms) const;
    static constexpr std::size_t kLookedAt = 1U << 17U;
    // How many made room although they were not full.
    std::uint64_t evictions() const;

  private:
    // Known by when it will be full: each token that is taken moves that by the time in which one
    // comes back, and it is empty where its whole capacity is missing (the generic cell rate
    // algorithm).
    struct Bucket {
        std::uint64_t full_ns = 0;
        float capacity_ns = 1;  // of its limit, to compare buckets of several
        std::uint32_t tag = 0;  // of its key's hash, what the place does not tell already
    };
    // Guards the places whose number leaves the same rest.
    struct alignas(64) Stripe {
        mutable std::mutex mutex;
        std::uint64_t latest_ns = 0;  // that anybody has said here
        std::uint64_t evictions = 0;
    };
    static constexpr std::size_t kStripes = 64;

    std::uint64_t hash_of(const RateKey& key) const;
    Bucket& room_among(Bucket* first, std::uint64_t now_ns, Stripe& stripe) const;

    const std::array<std::uint64_t, 3> seeds_;
    const std::size_t ways_;  // buckets at a place
    const std::size_t places_;
    std::vector<Bucket> buckets_;
    std::array<Stripe, kStripes> stripes_;
};

}  // namespace tidepool::serve
