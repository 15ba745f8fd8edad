#include "proxy/serve/pool_disk.h"

#include "tests/support/folder.h"

#include <latch>
#include <memory>

#include <catch2/catch.hpp>
#include <fcntl.h>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

}  // namespace

TEST_CASE("pool disk: who lets go of a file does not wait for its close", "[serve][pool_disk]") {
    const test::Folder folder;
    folder.write("a.jpg", "hello");
    conf::PoolSettings settings;
    settings.name = "hot";
    settings.base_path = folder.path(".");
    conf::WorkerSettings threads;
    threads.threads_per_pool = 1;
    std::latch hold(1);
    std::latch begun(1);
    int late = -1;
    {
        PoolDisk disk(settings, "uploads/", threads);
        // On a worker it is closed there.
        std::latch opened(1);
        REQUIRE(disk.workers().submit(loop::Lane::quick, [&] {
            const auto file = disk.pool().open("uploads/a.jpg");
            late = (*file)->fd();
        }));
        REQUIRE(disk.workers().submit(loop::Lane::bulk, [&] { opened.count_down(); }));
        opened.wait();
        CHECK_FALSE(is_open(late));

        REQUIRE(disk.workers().submit(loop::Lane::quick, [&] {
            begun.count_down();
            hold.wait();
        }));
        begun.wait();
        auto file = disk.pool().open("uploads/a.jpg");
        REQUIRE(file);
        late = (*file)->fd();
        file->reset();
        CHECK(is_open(late));  // the disk's thread is busy
        hold.count_down();
    }
    CHECK_FALSE(is_open(late));
}

TEST_CASE("pool disk: it stays the same while only other things of its pool change",
          "[serve][pool_disk]") {
    conf::PoolSettings settings;
    settings.name = "hot";
    settings.base_path = "/srv/a";
    const PoolDisk disk(settings, "uploads/", {});
    conf::PoolSettings other = settings;
    other.max_size_bytes = 5;
    other.priority = 7;
    CHECK(disk.is_of(other));
    other.base_path = "/srv/b";
    CHECK_FALSE(disk.is_of(other));
    other = settings;
    other.name = "warm";
    CHECK_FALSE(disk.is_of(other));
    other = settings;
    other.marker = ".mounted";
    CHECK_FALSE(disk.is_of(other));
}
