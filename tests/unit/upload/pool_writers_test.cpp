#include "proxy/upload/pool_writers.h"

#include "tests/support/fake_driver.h"

#include <condition_variable>
#include <memory>
#include <mutex>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;
using namespace std::chrono_literals;

namespace {

// A disk that says how much room it has, once it is let.
class Disk : public test::FakeDriver {
  public:
    Disk() : FakeDriver("disk") {}
    Result<storage::Space> space() override {
        std::unique_lock lock(mutex_);
        ++asked_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !hangs_; });
        if (is_gone_) return fail(ErrorKind::io, "the disk is gone");
        return storage::Space{.free_bytes = free_bytes_, .total_bytes = {}};
    }
    void hang(bool hangs) {
        const std::lock_guard lock(mutex_);
        hangs_ = hangs;
        changed_.notify_all();
    }
    void say(std::uint64_t free_bytes, bool is_gone = false) {
        const std::lock_guard lock(mutex_);
        free_bytes_ = free_bytes;
        is_gone_ = is_gone;
    }
    int asked() {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool hangs_ = false;
    bool is_gone_ = false;
    std::uint64_t free_bytes_ = 1000;
    int asked_ = 0;
};

conf::PoolSettings pool_settings(std::uint64_t max_size = 0) {
    conf::PoolSettings settings;
    settings.name = "disk";
    settings.max_size_bytes = max_size;
    return settings;
}

constexpr PoolWriters::Size kSmall{.threads = 2, .queue = 4};
constexpr std::chrono::milliseconds kForEver{600'000};

}  // namespace

TEST_CASE("pool writers: a pool has the room of its disk and of its limit", "[upload]") {
    const auto disk = std::make_shared<Disk>();
    PoolWriters writers(pool_settings(5000), kSmall, {.fresh = 0ms, .wait = kForEver});
    auto room = writers.room(3, disk);
    REQUIRE(room);
    CHECK(room->pool == 3);
    CHECK(room->max_bytes == 5000U);
    CHECK(room->free_bytes == 1000U);
    disk->say(500);
    room = writers.room(3, disk);
    REQUIRE(room);
    CHECK(room->free_bytes == 500U);
    disk->say(500, true);
    const auto gone = writers.room(3, disk);
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind == ErrorKind::io);
}

TEST_CASE("pool writers: a disk is not asked while its answer is fresh", "[upload]") {
    const auto disk = std::make_shared<Disk>();
    PoolWriters writers(pool_settings(), kSmall, {.fresh = kForEver, .wait = kForEver});
    for (int i = 0; i < 5; ++i)
        CHECK(writers.room(1, disk));
    CHECK(disk->asked() == 1);
}

TEST_CASE("pool writers: a disk that hangs has no room, and is asked by one thread", "[upload]") {
    const auto disk = std::make_shared<Disk>();
    disk->hang(true);
    PoolWriters writers(pool_settings(), kSmall, {.fresh = 0ms, .wait = 20ms, .usable = kForEver});
    for (int i = 0; i < 20; ++i) {
        const auto room = writers.room(1, disk);
        REQUIRE_FALSE(room);
        CHECK(room.error().kind == ErrorKind::timed_out);
        CHECK(room.error().may_retry());
    }
    CHECK(disk->asked() <= 1);
    disk->hang(false);
    while (!writers.room(1, disk))
        ;
    // What it said last is good for a while, although it does not say more.
    disk->hang(true);
    CHECK(writers.room(1, disk));
    disk->hang(false);
}

TEST_CASE("pool writers: what a disk said long ago is not believed", "[upload]") {
    const auto disk = std::make_shared<Disk>();
    PoolWriters writers(pool_settings(), kSmall, {.fresh = 0ms, .wait = 20ms, .usable = 0ms});
    while (!writers.room(1, disk))
        ;
    disk->hang(true);
    CHECK_FALSE(writers.room(1, disk));
    disk->hang(false);
}

TEST_CASE("pool writers: each pool has its own, until its settings change", "[upload]") {
    AllPoolWriters all(kSmall);
    const storage::KnownPool first{.settings = pool_settings(), .id = 1};
    storage::KnownPool second{.settings = pool_settings(), .id = 2};
    PoolWriters& writers = all.of(first);
    CHECK(&all.of(first) == &writers);
    PoolWriters& others = all.of(second);
    CHECK(&others != &writers);
    second.settings.max_size_bytes = 7;
    CHECK(&all.of(second) != &others);
    CHECK(all.of(second).settings().max_size_bytes == 7);
}
