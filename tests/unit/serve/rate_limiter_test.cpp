#include "proxy/serve/rate_limiter.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::serve;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kStart = 1'000'000;
constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;

RateLimit a_minute(unsigned requests) {
    return RateLimit::of(requests, 1min, requests);
}

// How many of `tries` at this moment are allowed.
unsigned allowed(RateLimiter& limiter, const RateKey& key, const RateLimit& limit,
                 std::uint64_t now_ms, unsigned tries = 1000) {
    unsigned count = 0;
    for (unsigned i = 0; i < tries; ++i)
        count += limiter.refuse_for(key, limit, now_ms) ? 0 : 1;
    return count;
}

}  // namespace

TEST_CASE("rate limiter: as many at once as the burst", "[serve][rate]") {
    for (const unsigned requests : {1U, 2U, 3U, 7U, 59U, 60U, 61U, 100U, 333U}) {
        for (const unsigned burst : {1U, 2U, 10U, 700U}) {
            CAPTURE(requests, burst);
            RateLimiter limiter(100);
            const RateLimit limit = RateLimit::of(requests, 1min, burst);
            CHECK(allowed(limiter, {1, 1}, limit, kStart) == burst);
            CHECK(allowed(limiter, {1, 1}, limit, kStart) == 0);
            CHECK(allowed(limiter, {1, 1}, limit, kStart + kMinute) == std::min(burst, requests));
            // Not fuller after a day.
            CHECK(allowed(limiter, {1, 1}, limit, kStart + 1440 * kMinute) == burst);
        }
    }
}

TEST_CASE("rate limiter: what was taken comes back evenly", "[serve][rate]") {
    RateLimiter limiter(100);
    const RateKey key{1, 1};
    CHECK(allowed(limiter, key, a_minute(6), kStart) == 6);  // one in ten seconds
    CHECK(allowed(limiter, key, a_minute(6), kStart + 10 * kSecond - 1) == 0);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 10 * kSecond) == 1);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 19 * kSecond) == 0);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 20 * kSecond) == 1);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 50 * kSecond) == 3);
    // Over a long time, as many as there are minutes, and what there was at first.
    RateLimiter lasting(100);
    unsigned count = 0;
    for (std::uint64_t now = 0; now < 10 * kMinute; now += 100)
        count += allowed(lasting, {2, 1}, a_minute(7), kStart + now, 1);
    CHECK(count >= 7 + 69);
    CHECK(count <= 7 + 70);
}

TEST_CASE("rate limiter: a thread whose clock is behind finds what is left", "[serve][rate]") {
    RateLimiter limiter(100);
    const RateKey key{1, 1};
    CHECK(allowed(limiter, key, a_minute(6), kStart, 4) == 4);
    CHECK(allowed(limiter, key, a_minute(6), kStart - 7) == 2);
    CHECK(allowed(limiter, key, a_minute(6), kStart) == 0);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 10 * kSecond - 1) == 0);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 10 * kSecond) == 1);
}

TEST_CASE("rate limiter: it says how long to wait, and that is true", "[serve][rate]") {
    RateLimiter limiter(100);
    const RateKey key{1, 1};
    REQUIRE(allowed(limiter, key, a_minute(6), kStart) == 6);
    CHECK(limiter.refuse_for(key, a_minute(6), kStart) == 10);
    CHECK(limiter.refuse_for(key, a_minute(6), kStart + 1) == 10);
    CHECK(limiter.refuse_for(key, a_minute(6), kStart + 1000) == 9);
    CHECK(limiter.refuse_for(key, a_minute(6), kStart + 9'999) == 1);
    CHECK_FALSE(limiter.refuse_for(key, a_minute(6), kStart + 10'000));
    for (const unsigned requests : {1U, 13U, 60U, 100U, 1000U}) {
        for (const auto per : {1000ms, 60'000ms, 86'400'000ms}) {
            CAPTURE(requests, per.count());
            RateLimiter fresh(100);
            const RateLimit limit = RateLimit::of(requests, per, 3);
            const RateKey other{requests, static_cast<std::uint64_t>(per.count())};
            allowed(fresh, other, limit, kStart);
            const auto wait = fresh.refuse_for(other, limit, kStart);
            REQUIRE(wait);
            CHECK(*wait >= 1);
            CHECK(*wait <= std::max<std::int64_t>(per.count() / 1000 / requests + 1, 1));
            const std::uint64_t later = kStart + static_cast<std::uint64_t>(*wait) * kSecond;
            CHECK_FALSE(fresh.refuse_for(other, limit, later));
        }
    }
}

TEST_CASE("rate limiter: what is refused takes nothing", "[serve][rate]") {
    RateLimiter limiter(100);
    REQUIRE(allowed(limiter, {1, 1}, a_minute(6), kStart) == 6);
    CHECK(allowed(limiter, {1, 1}, a_minute(6), kStart + 9'999, 10'000) == 0);
    CHECK(allowed(limiter, {1, 1}, a_minute(6), kStart + 10'000) == 1);
}

TEST_CASE("rate limiter: keys do not share", "[serve][rate]") {
    RateLimiter limiter(1000);
    const std::string long_text(5000, 'k');
    const RateKey keys[] = {{0, 0},
                            {0, 1},
                            {1, 0},
                            {1, 1},
                            RateKey::of(""),
                            RateKey::of(long_text),
                            RateKey::of(long_text + "1"),
                            RateKey::of("a"),
                            RateKey::of(std::string("a\0", 2))};
    for (const RateKey& key : keys) {
        CHECK(allowed(limiter, key, a_minute(5), kStart) == 5);
        CHECK(allowed(limiter, key, a_minute(5), kStart) == 0);
    }
    CHECK(limiter.size(kStart) == std::size(keys));
    CHECK(limiter.evictions() == 0);
}

TEST_CASE("rate limiter: the limit may change", "[serve][rate]") {
    RateLimiter limiter(10);
    const RateKey key{1, 1};
    CHECK(allowed(limiter, key, a_minute(60), kStart) == 60);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 9 * kSecond) == 0);
    CHECK(allowed(limiter, key, a_minute(6), kStart + 10 * kSecond) == 1);
    CHECK(allowed(limiter, key, a_minute(4'000'000'000U), kStart + kMinute, 100'000) == 100'000);
    // What was owed under a wider limit is forgiven as far as the new one does not know it.
    RateLimiter fresh(10);
    CHECK(allowed(fresh, key, RateLimit::of(10, 24h, 10), kStart) == 10);
    CHECK(allowed(fresh, key, a_minute(10), kStart) == 0);
    CHECK(allowed(fresh, key, a_minute(10), kStart + 6 * kSecond) == 1);
}

TEST_CASE("rate limiter: full buckets make room without anybody's harm", "[serve][rate]") {
    RateLimiter limiter(8);
    for (std::uint64_t i = 0; i < 8; ++i)
        allowed(limiter, {i, 1}, a_minute(60), kStart, 1);  // full again in a second
    CHECK(limiter.size(kStart) == 8);
    CHECK(limiter.size(kStart + kSecond) == 0);
    for (std::uint64_t i = 100; i < 108; ++i)
        allowed(limiter, {i, 1}, a_minute(60), kStart + kSecond, 1);
    CHECK(limiter.size(kStart + kSecond) == 8);
    CHECK(limiter.evictions() == 0);
}

TEST_CASE("rate limiter: who asks once each does not drive out who is limited", "[serve][rate]") {
    for (const std::size_t most : {8UL, 64UL, 1000UL}) {
        CAPTURE(most);
        RateLimiter limiter(most);
        const RateKey busy{1, 1};
        REQUIRE(allowed(limiter, busy, a_minute(10), kStart) == 10);
        for (std::uint64_t i = 0; i < 100'000; ++i)
            limiter.refuse_for({i, 2}, a_minute(10), kStart);
        CHECK(allowed(limiter, busy, a_minute(10), kStart) == 0);
        CHECK(limiter.evictions() > 90'000);
        CHECK(limiter.size(kStart) <= most);
    }
}

TEST_CASE("rate limiter: buckets of a slow limit do not count for more", "[serve][rate]") {
    RateLimiter limiter(8);
    const RateKey busy{1, 1};
    REQUIRE(allowed(limiter, busy, a_minute(10), kStart) == 10);
    // Each owes a quarter of an hour, which is a hundredth of what it may.
    for (std::uint64_t i = 0; i < 1000; ++i)
        limiter.refuse_for({i, 2}, RateLimit::of(100, 24h, 100), kStart);
    CHECK(allowed(limiter, busy, a_minute(10), kStart) == 0);
}

TEST_CASE("rate limiter: a client that is limited is driven out by eight that owe more",
          "[serve][rate]") {
    RateLimiter limiter(8);
    const RateKey busy{1, 1};
    REQUIRE(allowed(limiter, busy, a_minute(10), kStart) == 10);
    const std::uint64_t later = kStart + 30 * kSecond;  // half of it has come back
    for (std::uint64_t i = 0; i < 7; ++i)
        REQUIRE(allowed(limiter, {i, 2}, a_minute(10), later) == 10);
    CHECK(allowed(limiter, busy, a_minute(10), later, 1) == 1);
    REQUIRE(allowed(limiter, {7, 2}, a_minute(10), later, 1) == 1);  // it owes six: it is the least
    CHECK(allowed(limiter, busy, a_minute(10), later) == 10);
    CHECK(limiter.evictions() == 2);
}

TEST_CASE("rate limiter: memory is bounded, whatever the number of keys", "[serve][rate]") {
    for (const std::size_t most : {0UL, 1UL, 5UL, 64UL, 127UL, 128UL, 1000UL, 5000UL}) {
        CAPTURE(most);
        RateLimiter limiter(most);
        for (std::uint64_t i = 0; i < 50'000; ++i)
            limiter.refuse_for({i, 1}, a_minute(10), kStart);
        CHECK(limiter.most_buckets() <= std::max<std::size_t>(most, 1));
        CHECK(limiter.most_buckets() + 8 > most);
        CHECK(limiter.size(kStart) == limiter.most_buckets());
        CHECK(limiter.evictions() == 50'000 - limiter.most_buckets());
    }
}

TEST_CASE("rate limiter: half of its size is held nearly without loss", "[serve][rate]") {
    RateLimiter limiter(100'000);
    for (std::uint64_t i = 0; i < 50'000; ++i)
        limiter.refuse_for({i << 32U, 1}, a_minute(10), kStart);
    CHECK(limiter.size(kStart) >= 49'000);
}

TEST_CASE("rate limiter: of a large table the size is told by a part of it", "[serve][rate]") {
    constexpr std::size_t kClients = RateLimiter::kLookedAt / 2 + 1;
    RateLimiter limiter(4 * RateLimiter::kLookedAt);
    CHECK(limiter.size(kStart) == 0);
    for (std::uint64_t i = 0; i < kClients; ++i)
        limiter.refuse_for({i, 1}, a_minute(10), kStart);
    const std::size_t size = limiter.size(kStart);
    CHECK(size % 4 == 0);  // as a quarter was looked at
    CHECK(size > kClients * 95 / 100);
    CHECK(size < kClients * 105 / 100);
    CHECK(limiter.size(kStart + kMinute) == 0);
}

TEST_CASE("rate limiter: from many threads no more than allowed", "[serve][rate]") {
    RateLimiter limiter(1000);
    std::atomic<int> count = 0;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&limiter, &count, t] {
            for (unsigned i = 0; i < 2000; ++i) {
                const std::uint64_t now = kStart + i % 7;
                if (!limiter.refuse_for({1, 1}, a_minute(50), kStart)) ++count;
                limiter.refuse_for({t * 10'000 + i, 2}, a_minute(60), now);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(count == 50);
    CHECK(limiter.size(kStart) <= 1000);
}
