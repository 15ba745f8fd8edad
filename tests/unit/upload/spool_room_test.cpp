#include "proxy/upload/spool_room.h"

#include "storage/resumable_spool.h"
#include "tests/support/catalog_backends.h"

#include <ctime>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;
using test::value_of;
using Full = SpoolRoom::Full;

namespace {

struct SpoolWorld {
    conf::UploadSettings settings = [] {
        conf::UploadSettings small;
        small.spool_size_bytes = 1000;
        small.spool_min_free_bytes = 0;
        small.resumable_per_owner = 2;
        return small;
    }();
    test::Folder folder;
    test::SqliteBackend backend;
    std::unique_ptr<storage::Catalog> catalog = backend.open();
    storage::PoolId pool = test::make_pool(*catalog, "hot");
    storage::Spool spool{folder.path("spool")};
    SpoolRoom room{settings, spool};
    std::vector<SpoolRoom::Held> held;

    // Why there is no room; nothing: it is held from now on.
    std::optional<Full> take(SpoolRoom::Kept kept) {
        if (!kept) return kept.error();
        held.push_back(std::move(*kept));
        return std::nullopt;
    }
    std::optional<Full> form(std::uint64_t bytes) {
        return take(value_of(room.hold(*catalog, bytes)));
    }
    std::optional<Full> pieces(const std::string& owner, std::uint64_t bytes) {
        return take(value_of(room.hold_resumable(*catalog, owner, bytes)));
    }
    // One that the catalog has; its id.
    std::string begun(const std::string& owner, std::uint64_t bytes, std::int64_t expires_s) {
        const storage::ResumableUpload upload{.id = storage::new_resumable_id(),
                                              .owner = owner,
                                              .pool = pool,
                                              .length = bytes,
                                              .expires_s = expires_s};
        value_of(catalog->begin_resumable(upload, {.pool = pool}, {}));
        return upload.id;
    }
};

}  // namespace

TEST_CASE("spool room: forms and uploads in pieces share it", "[upload]") {
    SpoolWorld world;
    const std::int64_t later_s = std::time(nullptr) + 1000;
    const std::string id = world.begun("7", 400, later_s);
    CHECK_FALSE(world.form(300));
    CHECK_FALSE(world.pieces("8", 300));
    CHECK(world.form(1) == Full::of_all);
    CHECK(world.pieces("8", 1) == Full::of_all);
    world.held.clear();
    CHECK(world.form(601) == Full::of_all);
    CHECK_FALSE(world.form(600));
    value_of(world.catalog->drop_resumable(id));
    CHECK_FALSE(world.form(400));
    CHECK(world.form(1) == Full::of_all);
}

TEST_CASE("spool room: what has become an image is not there, what ran out is until it is removed",
          "[upload]") {
    SpoolWorld world;
    world.begun("7", 300, std::time(nullptr) - 1);
    const std::string id = world.begun("7", 700, std::time(nullptr) + 1000);
    CHECK(world.form(1) == Full::of_all);
    value_of(world.catalog->end_resumable(id, storage::Uuid{1}));
    CHECK_FALSE(world.form(700));
    CHECK(world.form(1) == Full::of_all);
}

TEST_CASE("spool room: an owner has only so many uploads in pieces", "[upload]") {
    SpoolWorld world;
    const std::int64_t later_s = std::time(nullptr) + 1000;
    world.begun("7", 1, later_s);
    world.begun("7", 1, std::time(nullptr) - 1);  // it cannot go on
    CHECK_FALSE(world.pieces("7", 1));
    // That one is not in the catalog yet, and counts.
    CHECK(world.pieces("7", 1) == Full::of_owner);
    CHECK_FALSE(world.pieces("8", 1));
    CHECK_FALSE(world.form(1));
    world.held.clear();
    world.begun("7", 1, later_s);
    CHECK(world.pieces("7", 1) == Full::of_owner);
    world.settings.resumable_per_owner = 0;
    CHECK_FALSE(world.pieces("7", 1));
}

TEST_CASE("spool room: an owner's uploads in pieces leave some of it", "[upload]") {
    SpoolWorld world;
    world.settings.max_size_bytes = 100;
    world.begun("7", 700, std::time(nullptr) + 1000);
    CHECK_FALSE(world.pieces("7", 50));
    CHECK(world.pieces("7", 1) == Full::of_owner);
    CHECK_FALSE(world.pieces("8", 250));
    CHECK(world.pieces("8", 1) == Full::of_all);
    world.held.clear();
    // A file of the largest size is never too much.
    world.settings.max_size_bytes = 1000;
    CHECK_FALSE(world.pieces("7", 300));
}

TEST_CASE("spool room: its disk keeps some free", "[upload]") {
    SpoolWorld world;
    CHECK(value_of(world.room.has_free(1)));
    world.settings.spool_min_free_bytes = std::numeric_limits<std::uint64_t>::max();
    CHECK_FALSE(value_of(world.room.has_free(0)));
    CHECK(world.form(1) == Full::of_all);
    CHECK(world.pieces("7", 1) == Full::of_all);
}
