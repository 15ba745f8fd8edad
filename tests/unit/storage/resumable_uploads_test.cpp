#include "storage/resumable_uploads.h"

#include "tests/support/catalog_backends.h"
#include "tests/support/folder.h"
#include "tests/unit/failing_datasync.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_pool;
using test::value_of;

namespace {

constexpr std::int64_t kNow = 4'000'000'000;  // none of them has ended by the catalog's own clock

std::string id_of(unsigned number) {
    return fmt::format("{:032x}", number);
}

ResumableUpload resumable(unsigned number, PoolId pool, std::uint64_t length,
                          std::string_view token = "a token") {
    return {.id = id_of(number),
            .token = conf::sha256(token),
            .owner = "7",
            .pool = pool,
            .length = length,
            .metadata = "filename YS5wbmc=",
            .expires_s = kNow};
}

Reservation begin(Catalog& catalog, const ResumableUpload& upload,
                  std::optional<std::uint64_t> free = std::nullopt,
                  std::optional<std::uint64_t> quota = std::nullopt) {
    return value_of(catalog.begin_resumable(upload, {.pool = upload.pool, .free_bytes = free},
                                            {.quota_bytes = quota}));
}

std::string content_of(ResumableFile& file) {
    std::array<char, 100> buffer{};
    return {buffer.data(), value_of(read_at(file.fd(), 0, buffer))};
}

}  // namespace

CATALOG_TEST("resumable uploads: what is begun is known again", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const Reservation made = begin(*catalog, resumable(1, hot, 300));
    REQUIRE(made.outcome == Reservation::Outcome::reserved);
    ResumableUpload expected = resumable(1, hot, 300);
    expected.upload = made.upload.id;
    CHECK(value_of(backend.open()->find_resumable(id_of(1))) == expected);
    CHECK(value_of(catalog->find_resumable(id_of(2))) == std::nullopt);
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 300);
}

CATALOG_TEST("resumable uploads: a session's reservation shrinks to the length", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const std::array rooms{PoolRoom{.pool = hot}};
    const auto session = value_of(catalog->reserve_upload({.owner = "7",
                                                           .bytes = 500,
                                                           .token = conf::sha256("a token"),
                                                           .details = "{}",
                                                           .expires_s = kNow},
                                                          rooms, {}, kNow));
    // The pool is full, but for what the session has.
    const Reservation made = begin(*catalog, resumable(1, hot, 300), 0);
    REQUIRE(made.outcome == Reservation::Outcome::reserved);
    CHECK(made.upload.id == session.upload.id);
    CHECK(value_of(catalog->find_resumable(id_of(1)))->details == "{}");
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 300);
    CHECK(begin(*catalog, resumable(2, hot, 300), 0).outcome == Reservation::Outcome::no_room);
    CHECK(value_of(catalog->find_resumable(id_of(2))) == std::nullopt);

    // That reservation can be begun by its id, once.
    UploadRecord upload{.id = made.upload.id, .pool = hot, .owner = "7", .expires_s = kNow};
    upload.image = parse_uuid("0b1f6c2e-9a7d-4c55-8a3e-000000000001");
    const auto begun = value_of(catalog->begin_upload(upload));
    REQUIRE(begun);
    CHECK(begun->bytes == 300);
    CHECK(value_of(catalog->begin_upload(upload)) == std::nullopt);
}

CATALOG_TEST("resumable uploads: one without a session obeys its owner's quota", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const std::array rooms{PoolRoom{.pool = hot}};
    using Outcome = Reservation::Outcome;
    const UploadRecord session{.owner = "7",
                               .bytes = 500,
                               .token = conf::sha256("a token"),
                               .details = "{}",
                               .expires_s = kNow};
    value_of(catalog->reserve_upload(session, rooms, {.quota_bytes = 700}, kNow));
    // The session's bytes are its owner's already.
    CHECK(begin(*catalog, resumable(1, hot, 500), {}, 700).outcome == Outcome::reserved);
    const Reservation refused = begin(*catalog, resumable(2, hot, 201), {}, 700);
    CHECK(refused.outcome == Outcome::over_quota);
    CHECK(refused.quota_left == 200);
    CHECK(value_of(catalog->find_resumable(id_of(2))) == std::nullopt);
    CHECK(begin(*catalog, resumable(2, hot, 200), {}, 700).outcome == Outcome::reserved);
    CHECK(begin(*catalog, resumable(3, hot, 1), {}, 700).quota_left == 0);
}

CATALOG_TEST("resumable uploads: a try that failed leaves its reservation", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const Reservation made = begin(*catalog, resumable(1, hot, 300));
    UploadRecord upload{.id = made.upload.id, .pool = hot, .owner = "7", .expires_s = kNow};
    upload.image = parse_uuid("0b1f6c2e-9a7d-4c55-8a3e-000000000001");
    upload.process = "p";
    REQUIRE(value_of(catalog->begin_upload(upload)));
    value_of(catalog->abandon_upload(upload.id, kNow, kNow));
    REQUIRE(value_of(catalog->begin_upload(upload)));
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 300);
    value_of(catalog->give_back_upload(upload.id, kNow));
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 300);
    value_of(catalog->drop_resumable(id_of(1)));
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 0);
}

CATALOG_TEST("resumable uploads: a token has not any number of them", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    for (unsigned i = 0; i < Catalog::kMostResumable; ++i)
        REQUIRE(begin(*catalog, resumable(i, hot, 1)).outcome == Reservation::Outcome::reserved);
    CHECK(begin(*catalog, resumable(100, hot, 1)).outcome == Reservation::Outcome::too_many);
    CHECK(begin(*catalog, resumable(101, hot, 1, "another")).outcome ==
          Reservation::Outcome::reserved);
    value_of(catalog->end_resumable(id_of(3), *parse_uuid("0b1f6c2e-9a7d-4c55-8a3e-000000000001")));
    CHECK(begin(*catalog, resumable(100, hot, 1)).outcome == Reservation::Outcome::reserved);
}

CATALOG_TEST("resumable uploads: what ends gives its bytes back", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const auto image = *parse_uuid("0b1f6c2e-9a7d-4c55-8a3e-000000000001");
    for (unsigned i = 1; i <= 3; ++i)
        begin(*catalog, resumable(i, hot, 100));
    value_of(catalog->end_resumable(id_of(1), image));
    CHECK(value_of(catalog->find_resumable(id_of(1)))->image == image);
    value_of(catalog->drop_resumable(id_of(2)));
    value_of(catalog->drop_resumable(id_of(2)));
    CHECK(value_of(catalog->find_resumable(id_of(2))) == std::nullopt);
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 100);
    CHECK(value_of(catalog->expired_resumables(kNow - 1)).empty());
    CHECK(value_of(catalog->expired_resumables(kNow)).size() == 2);
    // A pool can go although uploads to it are remembered.
    value_of(catalog->remove_pool(hot));
}

TEST_CASE("resumable spool: one at a time has a file", "[storage][uploads]") {
    const test::Folder folder;
    ResumableSpool spool(folder.path("spool"));
    value_of(spool.create(id_of(1)));
    CHECK_FALSE(spool.create(id_of(1)));
    conf::Descriptor copy;  // as a process has one that is just being started
    {
        auto file = value_of(spool.open(id_of(1)));
        copy = conf::Descriptor(fcntl(file.fd(), F_DUPFD_CLOEXEC, 0));
        const auto second = spool.open(id_of(1));
        REQUIRE_FALSE(second);
        CHECK(second.error().kind == ErrorKind::busy);
        value_of(file.append(std::string_view("hello ")));
        value_of(file.append(std::string_view("world")));
        value_of(file.sync());
        CHECK(content_of(file) == "hello world");
        CHECK(value_of(spool.durable_size(id_of(1))) == 11);
        auto other = value_of(spool.unnamed());
        value_of(other.append(std::string_view(", once more")));
        value_of(file.append_all_of(other.fd()));
        CHECK(content_of(file) == "hello world, once more");
        value_of(file.cut(5));
    }
    auto again = value_of(spool.open(id_of(1)));
    value_of(again.append(std::string_view("!")));
    CHECK(content_of(again) == "hello!");
    value_of(spool.remove(id_of(1)));
    value_of(spool.remove(id_of(1)));
    const auto gone = spool.open(id_of(1));
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind == ErrorKind::not_found);
    CHECK(spool.durable_size(id_of(1)).error().kind == ErrorKind::not_found);
}

CATALOG_TEST("resumable uploads: those whose time has passed are cleaned", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const test::Folder folder;
    ResumableSpool spool(folder.path("spool"));
    for (unsigned i = 1; i <= 3; ++i) {
        value_of(spool.create(id_of(i)));
        begin(*catalog, resumable(i, hot, 100));
    }
    {
        const auto held = value_of(spool.open(id_of(2)));
        CHECK(value_of(clean_expired_resumables(*catalog, spool, kNow - 1)) == 0);
        CHECK(value_of(clean_expired_resumables(*catalog, spool, kNow)) == 2);
    }
    CHECK_FALSE(std::filesystem::exists(folder.path("spool/tus/" + id_of(1))));
    CHECK(std::filesystem::exists(folder.path("spool/tus/" + id_of(2))));
    CHECK(value_of(clean_expired_resumables(*catalog, spool, kNow)) == 1);
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 0);
}

CATALOG_TEST("resumable uploads: bytes that nobody knows of are cleaned after a day", "[uploads]") {
    const TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const test::Folder folder;
    ResumableSpool spool(folder.path("spool"));
    CHECK(value_of(clean_stray_resumables(*catalog, spool, kNow)) == 0);  // there is no folder yet
    for (unsigned i = 1; i <= 3; ++i)
        value_of(spool.create(id_of(i)));
    std::ofstream(folder.path("spool/tus/another")) << "x";
    begin(*catalog, resumable(1, hot, 100));
    begin(*catalog, resumable(2, hot, 100));
    value_of(catalog->end_resumable(id_of(2), *parse_uuid("0b1f6c2e-9a7d-4c55-8a3e-000000000001")));
    CHECK(value_of(clean_stray_resumables(*catalog, spool, 1000)) == 0);
    CHECK(value_of(clean_stray_resumables(*catalog, spool, kNow)) == 2);
    CHECK(std::filesystem::exists(folder.path("spool/tus/" + id_of(1))));
    CHECK(std::filesystem::exists(folder.path("spool/tus/another")));
}

TEST_CASE("resumable uploads: what may not have reached the disk is not told", "[uploads]") {
    const test::Folder folder;
    ResumableSpool spool(folder.path("spool"));
    value_of(spool.create(id_of(1)));
    {
        ResumableFile file = value_of(spool.open(id_of(1)));
        value_of(file.append(std::string_view("written")));
    }
    {
        const test::FailingDatasync disk(1);
        CHECK(spool.durable_size(id_of(1)).error().kind == ErrorKind::io);
    }
    // The next time its disk would say that all is well.
    CHECK(spool.durable_size(id_of(1)).error().kind == ErrorKind::not_found);
}
