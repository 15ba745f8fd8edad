#include "proxy/serve/rate_limiter.h"

#include "conf/digest.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace tidepool::serve {

namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::size_t kMostWays = 8;  // two cache lines
constexpr std::uint64_t kOddNumber = 0x9e37'79b9'7f4a'7c15;

std::uint64_t random_number(std::random_device& source) {
    return std::uint64_t{source()} << 32U | source();
}

// Unguessable, so that nobody can choose addresses that meet at one place.
std::array<std::uint64_t, 3> random_seeds() {
    std::random_device source;
    return {random_number(source), random_number(source), random_number(source)};
}

std::uint64_t folded_product(std::uint64_t one, std::uint64_t other) {
    const auto product = static_cast<unsigned __int128>(one) * other;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

}  // namespace

RateLimit RateLimit::of(unsigned requests, std::chrono::milliseconds per, unsigned burst) {
    const std::uint64_t per_ns = static_cast<std::uint64_t>(per.count()) * kNsPerMs;
    const std::uint64_t interval_ns = std::max<std::uint64_t>(per_ns / requests, 1);
    return {interval_ns, interval_ns * burst};
}

RateKey RateKey::of(std::string_view text) {
    const conf::Sha256Digest digest = conf::sha256(text);
    RateKey key;
    std::memcpy(&key.who, digest.data(), sizeof key.who);
    std::memcpy(&key.what, digest.data() + sizeof key.who, sizeof key.what);
    return key;
}

RateLimiter::RateLimiter(std::size_t most_buckets)
    : seeds_(random_seeds()),
      ways_(std::clamp<std::size_t>(most_buckets, 1, kMostWays)),
      places_(room_for(most_buckets) / ways_),
      buckets_(places_ * ways_) {}

std::size_t RateLimiter::room_for(std::size_t most_buckets) {
    return most_buckets < kMostWays ? std::max<std::size_t>(most_buckets, 1)
                                    : most_buckets / kMostWays * kMostWays;
}

std::uint64_t RateLimiter::hash_of(const RateKey& key) const {
    const std::uint64_t of_what = folded_product(key.what ^ seeds_[1], kOddNumber);
    return folded_product(folded_product(key.who ^ seeds_[0], of_what | 1U) ^ seeds_[2],
                          kOddNumber);
}

std::optional<std::int64_t> RateLimiter::refuse_for(const RateKey& key, const RateLimit& limit,
                                                    std::uint64_t now_ms) {
    const std::uint64_t hash = hash_of(key);
    const auto tag = static_cast<std::uint32_t>(hash);
    // The hash as a part of all hashes, which its upper bits decide.
    const auto place =
        static_cast<std::size_t>(static_cast<unsigned __int128>(hash) * places_ >> 64U);
    Bucket* const first = &buckets_[place * ways_];
    Stripe& stripe = stripes_[place % kStripes];
    const std::scoped_lock lock(stripe.mutex);
    const std::uint64_t now_ns = std::max(stripe.latest_ns, now_ms * kNsPerMs);
    stripe.latest_ns = now_ns;
    Bucket* const known = std::find_if(first, first + ways_, [&](const Bucket& each) {
        return each.tag == tag && each.full_ns > now_ns;
    });
    if (known == first + ways_) {
        room_among(first, now_ns, stripe) = {now_ns + limit.interval_ns,
                                             static_cast<float>(limit.capacity_ns), tag};
        return std::nullopt;
    }
    const std::uint64_t latest_ns = now_ns + limit.capacity_ns;
    // Under a wider limit before, it can have owed more than a bucket of this one holds.
    known->full_ns = std::min(known->full_ns, latest_ns);
    known->capacity_ns = static_cast<float>(limit.capacity_ns);
    const std::uint64_t full_ns = known->full_ns + limit.interval_ns;
    if (full_ns > latest_ns) {
        const std::uint64_t wait_ns = full_ns - latest_ns;
        return static_cast<std::int64_t>((wait_ns + kNsPerSecond - 1) / kNsPerSecond);
    }
    known->full_ns = full_ns;
    return std::nullopt;
}

// The stripe is locked.
RateLimiter::Bucket& RateLimiter::room_among(Bucket* first, std::uint64_t now_ns,
                                             Stripe& stripe) const {
    Bucket* const end = first + ways_;
    Bucket* const full =
        std::find_if(first, end, [&](const Bucket& each) { return each.full_ns <= now_ns; });
    if (full != end) return *full;
    ++stripe.evictions;
    return *std::min_element(first, end, [&](const Bucket& one, const Bucket& other) {
        const auto used = [&](const Bucket& each) {
            return static_cast<float>(each.full_ns - now_ns) / each.capacity_ns;
        };
        return used(one) < used(other);
    });
}

std::size_t RateLimiter::size(std::uint64_t now_ms) const {
    const std::uint64_t now_ns = now_ms * kNsPerMs;
    const std::size_t looked_at = std::min(places_, kLookedAt / ways_);
    std::size_t count = 0;
    for (std::size_t stripe = 0; stripe < kStripes; ++stripe) {
        const std::scoped_lock lock(stripes_[stripe].mutex);
        for (std::size_t place = stripe; place < looked_at; place += kStripes) {
            const Bucket* const first = &buckets_[place * ways_];
            count += static_cast<std::size_t>(std::count_if(
                first, first + ways_, [&](const Bucket& each) { return each.full_ns > now_ns; }));
        }
    }
    return count * places_ / looked_at;
}

std::uint64_t RateLimiter::evictions() const {
    std::uint64_t count = 0;
    for (const Stripe& stripe : stripes_) {
        const std::scoped_lock lock(stripe.mutex);
        count += stripe.evictions;
    }
    return count;
}

}  // namespace tidepool::serve
