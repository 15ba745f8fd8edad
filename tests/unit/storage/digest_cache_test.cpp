#include "storage/digest_cache.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

using Cache = DigestCache<int>;

FileIdentity file(std::uint64_t inode) {
    return {.device = 1, .inode = inode, .size = 10, .modified_ns = 20, .changed_ns = 30};
}

Cache::Entry entry(int look) {
    Cache::Entry made;
    made.look = look;
    made.sha256[0] = static_cast<std::uint8_t>(look);
    return made;
}

}  // namespace

TEST_CASE("digest cache: what was put is found, by every part of the identity",
          "[storage][digests]") {
    Cache cache(1000);
    CHECK_FALSE(cache.find(file(1)));
    cache.put(file(1), entry(7));
    const auto found = cache.find(file(1));
    REQUIRE(found);
    CHECK(found->look == 7);
    CHECK(found->sha256 == entry(7).sha256);

    for (const FileIdentity& other :
         {FileIdentity{2, 1, 10, 20, 30}, FileIdentity{1, 2, 10, 20, 30},
          FileIdentity{1, 1, 11, 20, 30}, FileIdentity{1, 1, 10, 21, 30},
          FileIdentity{1, 1, 10, 20, 31}}) {
        CHECK_FALSE(cache.find(other));
    }
    CHECK(cache.size() == 1);
}

TEST_CASE("digest cache: a second put replaces the first", "[storage][digests]") {
    Cache cache(1000);
    cache.put(file(1), entry(7));
    cache.put(file(1), entry(8));
    CHECK(cache.find(file(1))->look == 8);
    CHECK(cache.size() == 1);
}

TEST_CASE("digest cache: it is bounded, and keeps what is used", "[storage][digests]") {
    constexpr std::size_t kLimit = 320;
    Cache cache(kLimit);
    cache.put(file(0), entry(0));
    for (std::uint64_t inode = 1; inode <= 10'000; ++inode) {
        cache.put(file(inode), entry(1));
        REQUIRE(cache.find(file(0)));  // used all the time, so never the oldest
        REQUIRE(cache.find(file(inode)));
    }
    // Each shard may hold one more than its share.
    CHECK(cache.size() <= kLimit + 16);
    CHECK(cache.size() >= kLimit / 2);
    CHECK_FALSE(cache.find(file(1)));
}

TEST_CASE("digest cache: it may be asked by many threads", "[storage][digests]") {
    Cache cache(64);
    std::atomic<int> wrong = 0;
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int i = 0; i < 5000; ++i) {
                const int number = i % 200;
                const auto found = cache.find(file(static_cast<std::uint64_t>(number)));
                if (found && found->look != number) ++wrong;
                cache.put(file(static_cast<std::uint64_t>(number)), entry(number));
            }
        });
    }
    threads.clear();
    CHECK(wrong == 0);
    CHECK(cache.size() <= 64 + 16);
}
