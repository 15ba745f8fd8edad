// What is SQLite's own: files, versions, locks, and being killed.
#include "storage/catalog_sqlite.h"

#include "storage/catalog_schema.h"
#include "tests/support/catalog_backends.h"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_object;
using test::make_pool;
using test::value_of;

namespace {

Error error_of(const std::string& path) {
    const auto opened = open_sqlite_catalog(path);
    REQUIRE_FALSE(opened);
    INFO(opened.error().text);
    CHECK(opened.error().text.find(path) != std::string::npos);
    return opened.error();
}

bool says(const Error& error, const std::string& text) {
    return error.text.find(text) != std::string::npos;
}

sqlite::Connection raw(const std::string& path) {
    return {path, {.writable = true, .cache_bytes = 1 << 20}};
}

}  // namespace

TEST_CASE("catalog sqlite: the file is nobody else's to read", "[storage][catalog]") {
    const test::SqliteBackend backend;
    const auto catalog = backend.open();
    make_pool(*catalog, "hot");
    for (const std::string& path : {backend.path(), backend.path() + "-wal"}) {
        struct stat status{};
        REQUIRE(stat(path.c_str(), &status) == 0);
        CHECK((status.st_mode & 0007) == 0);
    }
}

TEST_CASE("catalog sqlite: what cannot be opened is named, with its path", "[storage][catalog]") {
    const test::Folder folder;
    CHECK(error_of(folder.path("absent/deeper/catalog.db")).kind == ErrorKind::misconfigured);
    folder.make("folder");
    CHECK(error_of(folder.path("folder")).kind == ErrorKind::misconfigured);
    const Error text = error_of(folder.write("text", std::string(5000, 'x')));
    CHECK(text.kind == ErrorKind::misconfigured);
    CHECK(says(text, "no SQLite database"));
    raw(folder.path("other")).execute("CREATE TABLE notes (note TEXT)");
    const Error other = error_of(folder.path("other"));
    CHECK(other.kind == ErrorKind::misconfigured);
    CHECK(says(other, "another program"));
    CHECK_FALSE(open_catalog("postgres://host/db"));
    CHECK(open_catalog("sqlite:" + folder.path("new/catalog.db")));
}

TEST_CASE("catalog sqlite: a check says what opening would say, and makes nothing",
          "[storage][catalog]") {
    const test::Folder folder;
    const auto why_not = [](const std::string& path) {
        const auto checked = check_catalog("sqlite:" + path);
        return checked ? "" : checked.error().text;
    };
    CHECK(why_not(folder.path("new/catalog.db")).empty());
    CHECK_FALSE(std::filesystem::exists(folder.path("new")));
    CHECK_THAT(why_not(folder.path("absent/deeper/catalog.db")), Catch::Contains("deeper"));
    CHECK_THAT(why_not(folder.write("text", std::string(5000, 'x'))),
               Catch::Contains("no SQLite database"));
    raw(folder.path("other")).execute("CREATE TABLE notes (note TEXT)");
    CHECK_THAT(why_not(folder.path("other")), Catch::Contains("another program"));
    CHECK_FALSE(check_catalog("postgres://host/db"));

    const test::SqliteBackend backend;
    const auto catalog = backend.open();
    CHECK(why_not(backend.path()).empty());
    // One that a newer program is about to bring up to date stays what the older one can use.
    raw(backend.path()).execute("DELETE FROM schema_versions WHERE version > 1");
    CHECK(why_not(backend.path()).empty());
    CHECK(raw(backend.path()).number("SELECT max(version) FROM schema_versions") == 1);
    raw(backend.path()).execute("INSERT INTO schema_versions VALUES (999, 0)");
    CHECK_THAT(why_not(backend.path()), Catch::Contains("made by a newer tidepool"));
}

TEST_CASE("catalog sqlite: one of a newer version is left alone", "[storage][catalog]") {
    const test::SqliteBackend backend;
    make_pool(*backend.open(), "hot");
    raw(backend.path()).execute("INSERT INTO schema_versions VALUES (999, 0)");
    const Error error = error_of(backend.path());
    CHECK(error.kind == ErrorKind::misconfigured);
    CHECK(says(error, "made by a newer tidepool"));
    CHECK(says(error, "999"));
}

TEST_CASE("catalog sqlite: a damaged file is an error, not a crash", "[storage][catalog]") {
    const test::SqliteBackend backend;
    {
        const auto catalog = backend.open();
        const PoolId pool = make_pool(*catalog, "hot");
        std::vector<ObjectRecord> objects;
        for (int i = 0; i < 4000; ++i)
            objects.push_back(make_object("uploads/" + std::to_string(i) + ".jpg", pool));
        value_of(catalog->adopt(objects));
    }
    {
        std::fstream file(backend.path(), std::ios::binary | std::ios::in | std::ios::out);
        const auto size = std::filesystem::file_size(backend.path());
        for (std::uint64_t at = 4096 * 80; at < size; at += 4096) {
            file.seekp(static_cast<std::streamoff>(at));
            file << std::string(4096, '\xA5');
        }
    }
    const auto catalog = backend.open();
    const auto counted = catalog->recount();
    REQUIRE_FALSE(counted);
    CHECK(counted.error().kind == ErrorKind::corrupt);
}

TEST_CASE(
    "catalog sqlite: a lock that another process keeps is waited for, and no longer than told",
    "[storage][catalog]") {
    const test::SqliteBackend backend;
    auto catalog =
        value_of(open_sqlite_catalog(backend.path(), {.busy_wait = std::chrono::milliseconds(50)}));
    const PoolId pool = make_pool(*catalog, "hot");
    sqlite::Connection other = raw(backend.path());
    {
        const sqlite::Transaction transaction(other);
        const auto refused = catalog->put_object(make_object("uploads/a.jpg", pool));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::timed_out);
        CHECK(refused.error().may_retry());
        CHECK(says(refused.error(), backend.path()));
        CHECK_FALSE(value_of(catalog->find("uploads/a.jpg")));  // readers do not wait
    }
    value_of(catalog->put_object(make_object("uploads/a.jpg", pool)));
}

TEST_CASE("catalog sqlite: writers that wait are committed together, each with its own outcome",
          "[storage][catalog]") {
    constexpr int kWriters = 12;
    constexpr int kRounds = 40;
    const test::SqliteBackend backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    std::atomic<int> wrong = 0;
    const auto work = [&](int writer) {
        for (int round = 0; round < kRounds; ++round) {
            const auto object = make_object(fmt::format("uploads/{}-{}.jpg", writer, round), hot);
            const auto absent = make_object(object.key + ".absent", hot);
            wrong += catalog->put_object(object) ? 0 : 1;
            // Its first object is moved before it is refused for the second.
            const auto refused = catalog->relocate({.objects = {object, absent}, .to = cold});
            wrong += !refused && refused.error().kind == ErrorKind::conflict ? 0 : 1;
            const auto found = catalog->find(object.key);
            wrong += found && *found && (*found)->pool == hot ? 0 : 1;
            if (round % 2 == 0)
                wrong += catalog->relocate({.objects = {object}, .to = cold}) ? 0 : 1;
        }
    };
    {
        std::vector<std::jthread> writers;
        for (int writer = 0; writer < kWriters; ++writer)
            writers.emplace_back(work, writer);
    }
    CHECK(wrong == 0);
    CHECK(value_of(catalog->list(hot, "", "", 1000)).size() == kWriters * kRounds / 2);
    CHECK(value_of(catalog->list(cold, "", "", 1000)).size() == kWriters * kRounds / 2);
    test::check_accounts(*catalog);
    CHECK(value_of(catalog->foreign_changes()) == 0);
}

TEST_CASE("catalog sqlite: who waits with others for a lock of another process is told with them",
          "[storage][catalog]") {
    constexpr int kWriters = 12;
    const test::SqliteBackend backend;
    const auto catalog = value_of(
        open_sqlite_catalog(backend.path(), {.busy_wait = std::chrono::milliseconds(200)}));
    const PoolId hot = make_pool(*catalog, "hot");
    sqlite::Connection other = raw(backend.path());
    std::atomic<int> refused = 0;
    {
        const sqlite::Transaction transaction(other);
        std::vector<std::jthread> writers;
        for (int writer = 0; writer < kWriters; ++writer) {
            writers.emplace_back([&, writer] {
                const auto put =
                    catalog->put_object(make_object(fmt::format("uploads/{}.jpg", writer), hot));
                refused += !put && put.error().kind == ErrorKind::timed_out ? 1 : 0;
            });
        }
    }
    CHECK(refused == kWriters);
    CHECK(value_of(catalog->list(hot, "", "", 100)).empty());
    value_of(catalog->put_object(make_object("uploads/0.jpg", hot)));
    test::check_accounts(*catalog);
}

TEST_CASE("catalog sqlite: the tables are made once, however many open it at first",
          "[storage][catalog]") {
    const test::SqliteBackend backend;
    sqlite::Connection first = raw(backend.path());
    sqlite::Connection second = raw(backend.path());
    migrate_catalog(first);
    migrate_catalog(second);
    CHECK(second.number("SELECT count(*) FROM schema_versions") == catalog_schema_version());
    CHECK(second.number("PRAGMA application_id") == kCatalogApplicationId);
}

namespace {

std::string crash_key(int i) {
    return "uploads/" + std::to_string(i) + ".jpg";
}

// Writes for ever and says so, one byte a commit; never returns.
[[noreturn]] void write_until_killed(const std::string& path, int pipe, int start) {
    auto catalog = open_sqlite_catalog(path);
    if (!catalog) _exit(1);
    const PoolId hot = (*catalog)->declare_pool("hot", "{}")->id;
    const PoolId cold = (*catalog)->declare_pool("cold", "{}")->id;
    for (int i = start;; ++i) {
        const auto size = static_cast<std::uint64_t>(i);
        if (!(*catalog)->put_object(make_object(crash_key(i), hot, size))) _exit(2);
        if (write(pipe, "p", 1) != 1) _exit(3);
        const Relocation relocation{
            .objects = {make_object(crash_key(i), hot, size)}, .to = cold, .now_s = 1};
        if (i % 3 == 0 && !(*catalog)->relocate(relocation)) _exit(4);
        std::vector<ObjectRecord> batch;
        for (int k = 0; k < 20; ++k)
            batch.push_back(make_object("batch/" + std::to_string(i % 5 * 20 + k), hot, size));
        if (!(*catalog)->adopt(batch)) _exit(5);
    }
}

}  // namespace

TEST_CASE("catalog sqlite: processes that make one catalog at the same moment all get it",
          "[storage][catalog]") {
    for (int round = 0; round < 15; ++round) {
        const test::SqliteBackend backend;
        std::vector<pid_t> children;
        for (int i = 0; i < 4; ++i) {
            const pid_t child = fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                const auto catalog = open_sqlite_catalog(backend.path());
                _exit(catalog && (*catalog)->declare_pool("hot", "{}") ? 0 : 1);
            }
            children.push_back(child);
        }
        for (const pid_t child : children) {
            int status = -1;
            REQUIRE(waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }
        CHECK(value_of(backend.open()->pools()).size() == 1);
    }
}

TEST_CASE("catalog sqlite: invariants 1 and 5 hold after a writer was killed at any moment",
          "[storage][catalog]") {
    const test::SqliteBackend backend;
    std::minstd_rand random(20'260'225);
    int acknowledged = 0;
    for (int round = 0; round < 25; ++round) {
        int ends[2];
        REQUIRE(pipe(ends) == 0);
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) write_until_killed(backend.path(), ends[1], acknowledged);
        close(ends[1]);
        const int commits = 1 + static_cast<int>(random() % 12);
        char byte = 0;
        int seen = 0;
        while (seen < commits && read(ends[0], &byte, 1) == 1)
            ++seen;
        for (unsigned spin = random() % 2'000'000; spin > 0; --spin)
            std::atomic_signal_fence(std::memory_order_seq_cst);
        kill(child, SIGKILL);
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        while (read(ends[0], &byte, 1) == 1)
            ++seen;
        close(ends[0]);
        acknowledged += seen;

        const auto catalog = backend.open();
        test::check_accounts(*catalog);
        for (int i = 0; i < acknowledged; ++i)
            CHECK(value_of(catalog->find(crash_key(i))));
        const auto batches = value_of(catalog->list(std::nullopt, "batch/", "", 1000));
        CHECK(batches.size() % 20 == 0);
    }
}
