#include "proxy/upload/rate_limiter.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::upload;

namespace {

constexpr std::uint64_t kStart = 1'000'000;
constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;

// How many of `tries` at this moment are allowed.
int allowed(RateLimiter& limiter, std::string_view key, unsigned per_minute, std::uint64_t now_ms,
            int tries = 1000) {
    int count = 0;
    for (int i = 0; i < tries; ++i)
        count += limiter.refuse_for(key, per_minute, now_ms) ? 0 : 1;
    return count;
}

}  // namespace

TEST_CASE("rate limiter: as many at once as in a minute", "[upload][rate]") {
    for (const unsigned per_minute : {1U, 2U, 3U, 7U, 59U, 60U, 61U, 100U, 333U}) {
        CAPTURE(per_minute);
        RateLimiter limiter(100);
        CHECK(allowed(limiter, "a", per_minute, kStart) == int(per_minute));
        CHECK(allowed(limiter, "a", per_minute, kStart) == 0);
        // A minute later it is full, and it is not fuller after an hour.
        CHECK(allowed(limiter, "a", per_minute, kStart + kMinute) == int(per_minute));
        CHECK(allowed(limiter, "a", per_minute, kStart + 60 * kMinute) == int(per_minute));
    }
}

TEST_CASE("rate limiter: what was taken comes back evenly", "[upload][rate]") {
    RateLimiter limiter(100);
    CHECK(allowed(limiter, "a", 6, kStart) == 6);  // one in ten seconds
    CHECK(allowed(limiter, "a", 6, kStart + 10 * kSecond - 1) == 0);
    CHECK(allowed(limiter, "a", 6, kStart + 10 * kSecond) == 1);
    CHECK(allowed(limiter, "a", 6, kStart + 19 * kSecond) == 0);
    CHECK(allowed(limiter, "a", 6, kStart + 20 * kSecond) == 1);
    CHECK(allowed(limiter, "a", 6, kStart + 50 * kSecond) == 3);
    // Over a long time, as many as there are minutes, and what there was at first.
    int count = 0;
    for (std::uint64_t now = 0; now < 10 * kMinute; now += 100)
        count += allowed(limiter, "b", 7, kStart + now, 1);
    CHECK(count >= 7 + 69);
    CHECK(count <= 7 + 70);
}

TEST_CASE("rate limiter: it says how long to wait, and that is true", "[upload][rate]") {
    RateLimiter limiter(100);
    REQUIRE(allowed(limiter, "a", 6, kStart) == 6);
    CHECK(limiter.refuse_for("a", 6, kStart) == 10);
    CHECK(limiter.refuse_for("a", 6, kStart + 1) == 10);
    CHECK(limiter.refuse_for("a", 6, kStart + 1000) == 9);
    CHECK(limiter.refuse_for("a", 6, kStart + 9'999) == 1);
    CHECK_FALSE(limiter.refuse_for("a", 6, kStart + 10'000));
    for (const unsigned per_minute : {1U, 13U, 60U, 100U, 1000U}) {
        CAPTURE(per_minute);
        const std::string key = std::to_string(per_minute);
        allowed(limiter, key, per_minute, kStart);
        const auto wait = limiter.refuse_for(key, per_minute, kStart);
        REQUIRE(wait);
        CHECK(*wait >= 1);
        CHECK(*wait <= 60);
        const std::uint64_t later = kStart + static_cast<std::uint64_t>(*wait) * kSecond;
        CHECK_FALSE(limiter.refuse_for(key, per_minute, later));
    }
}

TEST_CASE("rate limiter: what is refused takes nothing", "[upload][rate]") {
    RateLimiter limiter(100);
    REQUIRE(allowed(limiter, "a", 6, kStart) == 6);
    CHECK(allowed(limiter, "a", 6, kStart + 9'999, 10'000) == 0);
    CHECK(allowed(limiter, "a", 6, kStart + 10'000) == 1);
}

TEST_CASE("rate limiter: keys do not share", "[upload][rate]") {
    RateLimiter limiter(1000);
    const std::string long_key(5000, 'k');
    for (const std::string& key : {std::string("a"), std::string("b"), std::string(), long_key,
                                   long_key + "1", std::string("a\0", 2)}) {
        CHECK(allowed(limiter, key, 5, kStart) == 5);
        CHECK(allowed(limiter, key, 5, kStart) == 0);
    }
    CHECK(limiter.size() == 6);
}

TEST_CASE("rate limiter: no limit", "[upload][rate]") {
    RateLimiter limiter(10);
    CHECK(allowed(limiter, "a", 0, kStart, 10'000) == 10'000);
    CHECK(limiter.size() == 0);
}

TEST_CASE("rate limiter: the limit may change", "[upload][rate]") {
    RateLimiter limiter(10);
    CHECK(allowed(limiter, "a", 60, kStart) == 60);
    CHECK(allowed(limiter, "a", 6, kStart + 9 * kSecond) == 0);
    CHECK(allowed(limiter, "a", 6, kStart + 10 * kSecond) == 1);
    CHECK(allowed(limiter, "a", 0, kStart + 10 * kSecond) == 1000);
    CHECK(allowed(limiter, "a", 4'000'000'000U, kStart + kMinute, 100'000) == 100'000);
}

TEST_CASE("rate limiter: full buckets are forgotten", "[upload][rate]") {
    RateLimiter limiter(60);
    for (int i = 0; i < 50; ++i)
        allowed(limiter, "key" + std::to_string(i), 60, kStart, 1);  // full again in a second
    CHECK(limiter.size() == 50);
    for (int i = 0; i < 20; ++i)
        allowed(limiter, "a", 60, kStart + 2 * kSecond, 1);
    CHECK(limiter.size() == 1);
}

TEST_CASE("rate limiter: of too many, full buckets go first", "[upload][rate]") {
    RateLimiter limiter(10);
    REQUIRE(allowed(limiter, "busy", 10, kStart) == 10);
    for (int i = 0; i < 9; ++i)
        allowed(limiter, "key" + std::to_string(i), 60, kStart, 1);
    CHECK(limiter.size() == 10);
    // The one used longest ago is empty still, and the others are full.
    for (int i = 0; i < 100; ++i) {
        allowed(limiter, "new" + std::to_string(i), 60,
                kStart + (2 + std::uint64_t(i) / 9) * kSecond, 1);
        CHECK(limiter.size() <= 10);
    }
    CHECK(allowed(limiter, "busy", 10, kStart + 14 * kSecond) == 2);
}

TEST_CASE("rate limiter: then the ones used longest ago", "[upload][rate]") {
    RateLimiter limiter(3);
    for (const char* key : {"a", "b", "c"})
        REQUIRE(allowed(limiter, key, 2, kStart) == 2);
    CHECK(limiter.refuse_for("a", 2, kStart));  // is used, though in vain
    CHECK(allowed(limiter, "d", 2, kStart) == 2);
    CHECK(limiter.size() == 3);
    CHECK(allowed(limiter, "a", 2, kStart) == 0);
    CHECK(allowed(limiter, "c", 2, kStart) == 0);
    CHECK(allowed(limiter, "d", 2, kStart) == 0);
    CHECK(allowed(limiter, "b", 2, kStart) == 2);  // was forgotten
    CHECK(limiter.size() == 3);
}

TEST_CASE("rate limiter: memory is bounded, whatever the number of keys", "[upload][rate]") {
    for (const std::size_t most : {0UL, 1UL, 5UL, 64UL, 127UL, 128UL, 1000UL, 5000UL}) {
        CAPTURE(most);
        RateLimiter limiter(most);
        for (int i = 0; i < 20'000; ++i)
            limiter.refuse_for("key" + std::to_string(i), 10, kStart);
        CHECK(limiter.size() <= std::max<std::size_t>(most, 1));
        CHECK(limiter.size() >= most / 2);
    }
}

TEST_CASE("rate limiter: from many threads no more than allowed", "[upload][rate]") {
    RateLimiter limiter(500);
    std::atomic<int> count = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&limiter, &count, t] {
            for (int i = 0; i < 2000; ++i) {
                const std::uint64_t now = kStart + static_cast<std::uint64_t>(i % 7);
                if (!limiter.refuse_for("shared", 50, kStart)) ++count;
                limiter.refuse_for("key" + std::to_string(t * 10'000 + i), 60, now);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(count == 50);
    CHECK(limiter.size() <= 500);
}
