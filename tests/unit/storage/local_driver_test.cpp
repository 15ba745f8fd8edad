#include "storage/local_driver.h"

#include "storage/streams.h"
#include "tests/support/folder.h"

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

conf::PoolSettings at(const std::string& base_path) {
    conf::PoolSettings settings;
    settings.name = "hot";
    settings.base_path = base_path;
    return settings;
}

struct World {
    World() { folder.make("pool"); }
    Result<ObjectInfo> put(const std::string& key, std::string_view content,
                           PutOptions options = {}) {
        MemorySource source(content);
        if (options.size == 0) options.size = content.size();
        return driver.put(key, source, options);
    }
    std::string get(const std::string& key, GetRange range = {}) {
        MemorySink sink(1 << 20);
        const auto got = driver.get(key, range, sink);
        return got ? sink.content() : "error: " + got.error().text;
    }
    std::vector<std::string> keys(std::string_view prefix, std::size_t limit) {
        std::vector<std::string> all;
        std::string next;
        do {
            const auto page = driver.list(prefix, next, limit);
            REQUIRE(page);
            CHECK(page->objects.size() <= limit);
            for (const ObjectInfo& object : page->objects)
                all.push_back(object.key);
            next = page->next;
        } while (!next.empty());
        return all;
    }
    std::vector<std::string> names_in(const std::string& name) const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(folder.path(name)))
            names.push_back(entry.path().filename());
        return names;
    }
    test::Folder folder;
    LocalDriver driver{at(folder.path("pool")), "uploads/"};
};

// Says less, or more, than it gives, or breaks in the middle.
class BrokenSource final : public ByteSource {
  public:
    Result<std::size_t> read(std::span<char> into) override {
        if (given_) return fail(ErrorKind::io, "the upload broke");
        given_ = true;
        into[0] = 'x';
        return 1;
    }
    Result<void> rewind() override { return {}; }

  private:
    bool given_ = false;
};

}  // namespace

TEST_CASE("local driver: what is put is there, whole and readable by others", "[storage][driver]") {
    World world;
    const mode_t before = umask(0077);
    const auto stored = world.put("uploads/2026/02/25/a.jpg", "a picture");
    umask(before);
    REQUIRE(stored);
    CHECK(stored->key == "uploads/2026/02/25/a.jpg");
    CHECK(stored->size == 9);
    CHECK(stored->sha256 == conf::sha256("a picture"));
    CHECK(world.folder.read("pool/2026/02/25/a.jpg") == "a picture");
    struct stat status{};
    REQUIRE(stat(world.folder.path("pool/2026/02/25/a.jpg").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0644);
    CHECK(world.names_in("pool/2026/02/25").size() == 1);
    CHECK(world.driver.head("uploads/2026/02/25/a.jpg")->size == 9);
}

TEST_CASE("local driver: what a signature alone opens is not for every user", "[storage][driver]") {
    test::Folder folder;
    folder.make("pool");
    conf::PoolSettings settings = at(folder.path("pool"));
    settings.visibility = conf::PoolSettings::Visibility::signed_only;
    LocalDriver driver(settings, "uploads/");
    const mode_t before = umask(0);
    MemorySource source("a picture");
    REQUIRE(driver.put("uploads/2026/a.jpg", source, {.size = 9}));
    auto staged = driver.stage("uploads/2026/b.jpg");
    umask(before);
    REQUIRE(staged);
    REQUIRE((*staged)->keep({.size = 0}));
    const auto mode_of = [&](const char* name) {
        struct stat status{};
        REQUIRE(stat(folder.path(name).c_str(), &status) == 0);
        return status.st_mode & 07777;
    };
    CHECK(mode_of("pool/2026/a.jpg") == 0640);
    CHECK(mode_of("pool/2026/b.jpg") == 0640);
    CHECK(mode_of("pool/2026") == 0750);
}

TEST_CASE("local driver: replacing leaves old readers their version", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/a", "old"));
    const int old = open(world.folder.path("pool/a").c_str(), O_RDONLY);
    REQUIRE(world.put("uploads/a", "new"));
    char bytes[3];
    REQUIRE(read(old, bytes, 3) == 3);
    close(old);
    CHECK(std::string(bytes, 3) == "old");
    CHECK(world.get("uploads/a") == "new");
}

TEST_CASE("local driver: a put that fails leaves nothing behind", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/a", "old"));
    CHECK(world.put("uploads/a", "new", {.size = 4}).error().kind == ErrorKind::corrupt);
    CHECK(world.put("uploads/a", "new", {.size = 2}).error().kind == ErrorKind::corrupt);
    CHECK(
        world.put("uploads/a", "new", {.size = 3, .sha256 = conf::sha256("other")}).error().kind ==
        ErrorKind::corrupt);
    BrokenSource broken;
    const auto failed = world.driver.put("uploads/a", broken, {.size = 5});
    REQUIRE_FALSE(failed);
    CHECK(failed.error().kind == ErrorKind::io);
    REQUIRE(failed.error().store);
    CHECK(failed.error().store->pool == "hot");
    CHECK(failed.error().store->key == "uploads/a");
    CHECK(world.get("uploads/a") == "old");
    CHECK(world.names_in("pool") == std::vector<std::string>{"a"});
}

// Invariant 9.
TEST_CASE("local driver: what is pushed is there whole, or not at all", "[storage][driver]") {
    World world;
    const std::string key = "uploads/a.jpg";
    const auto push = [&](const std::vector<std::string>& parts, std::optional<Error> end) {
        const auto fill = [&](ByteSink& sink) -> Result<void> {
            for (const std::string& part : parts) {
                if (auto written = sink.write(part); !written) return written;
            }
            if (end) return std::unexpected(*end);
            return {};
        };
        const PutOptions options{.size = 6, .sha256 = conf::sha256("abcdef")};
        return world.driver.put_pushed(key, fill, options);
    };
    for (const auto& [parts, end, kind] :
         std::vector<std::tuple<std::vector<std::string>, std::optional<Error>, ErrorKind>>{
             {{"abc", "de"}, std::nullopt, ErrorKind::corrupt},
             {{"abc", "defg"}, std::nullopt, ErrorKind::corrupt},
             {{"abc", "xyz"}, std::nullopt, ErrorKind::corrupt},
             {{"abcdef"}, Error{ErrorKind::timed_out, "cut"}, ErrorKind::timed_out},
             {{}, Error{ErrorKind::not_found, "no source"}, ErrorKind::not_found}}) {
        const auto failed = push(parts, end);
        REQUIRE_FALSE(failed);
        CHECK(failed.error().kind == kind);
        CHECK(world.get(key).starts_with("error: "));
    }
    const auto stored = push({"a", "bcd", "ef"}, std::nullopt);
    REQUIRE((stored && *stored));
    CHECK((*stored)->sha256 == conf::sha256("abcdef"));
    CHECK(world.get(key) == "abcdef");
    CHECK(world.names_in("pool").size() == 1);
}

TEST_CASE("local driver: of several keys those that are there are found", "[storage][driver]") {
    World world;
    for (const char* key : {"uploads/a/1.jpg", "uploads/a/2.jpg", "uploads/b/1.jpg"})
        REQUIRE(world.put(key, "content"));
    world.folder.make("pool/a/folder.jpg");
    const std::vector<std::string> keys{
        "uploads/a/1.jpg",      "uploads/c/1.jpg",
        "uploads/c/2.jpg",      "uploads/a/3.jpg",
        "uploads/a/2.jpg",      "uploads/b/1.jpg",
        "uploads/a/folder.jpg", "uploads/a/" + std::string(300, 'n')};
    const auto found = world.driver.heads(keys);
    REQUIRE(found);
    std::vector<std::string> names;
    for (const ObjectInfo& object : *found) {
        names.push_back(object.key);
        CHECK(object.size == 7);
    }
    CHECK(names ==
          std::vector<std::string>{"uploads/a/1.jpg", "uploads/a/2.jpg", "uploads/b/1.jpg"});
    REQUIRE(symlink("1.jpg", world.folder.path("pool/a/link.jpg").c_str()) == 0);
    const std::vector<std::string> link{"uploads/a/link.jpg"};
    const auto refused = world.driver.heads(link);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == world.driver.head(link[0]).error().kind);
}

TEST_CASE("local driver: nothing is written, read or removed outside", "[storage][driver]") {
    World world;
    world.folder.make("outside");
    world.folder.write("outside/b.jpg", "secret");
    world.folder.link("pool/link", world.folder.path("outside"));
    world.folder.link("pool/file.jpg", world.folder.path("outside/b.jpg"));
    for (const std::string key :
         {"uploads/link/b.jpg", "uploads/../outside/b.jpg", "uploads/x/../../outside/b.jpg",
          "uploads//outside/b.jpg", "b.jpg", "uploads/", "", "uploads/.hidden", "uploads/a.tmp",
          "uploads/a/", "uploads/./a"}) {
        INFO(key);
        CHECK_FALSE(world.put(key, "x"));
        CHECK_FALSE(world.driver.head(key));
        world.driver.remove(key);
    }
    CHECK_FALSE(world.driver.remove("uploads/file.jpg"));
    CHECK(world.folder.read("outside/b.jpg") == "secret");
    CHECK(world.names_in("outside").size() == 1);
    // A link in the file's own place is replaced, not followed.
    CHECK(world.put("uploads/file.jpg", "mine"));
    CHECK(world.folder.read("outside/b.jpg") == "secret");
    CHECK(world.get("uploads/file.jpg") == "mine");
}

TEST_CASE("local driver: folders and files in each other's way", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/a/b", "x"));
    CHECK(world.put("uploads/a", "x").error().kind == ErrorKind::conflict);
    CHECK(world.put("uploads/a/b/c", "x").error().kind == ErrorKind::conflict);
    CHECK(world.driver.head("uploads/a").error().kind == ErrorKind::not_found);
    CHECK(world.driver.remove("uploads/a"));
    CHECK(world.get("uploads/a/b") == "x");
}

TEST_CASE("local driver: ranges", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/a", "0123456789"));
    CHECK(world.get("uploads/a", {2, 3}) == "234");
    CHECK(world.get("uploads/a", {8, {}}) == "89");
    CHECK(world.get("uploads/a", {8, 100}) == "89");
    MemorySink sink(10);
    CHECK(world.driver.get("uploads/a", {10, {}}, sink).error().kind == ErrorKind::invalid);
    REQUIRE(world.put("uploads/empty", ""));
    CHECK(world.get("uploads/empty") == "");
}

TEST_CASE("local driver: a sink that fails is the result", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/a", "0123456789"));
    MemorySink sink(5);
    const auto got = world.driver.get("uploads/a", {}, sink);
    REQUIRE_FALSE(got);
    CHECK(got.error().kind == ErrorKind::overloaded);
}

TEST_CASE("local driver: what is there can be settled", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/2026/02/25/a.jpg", "a picture"));
    world.folder.write("pool/b.jpg", "of another program");
    CHECK(world.driver.settle("uploads/2026/02/25/a.jpg"));
    CHECK(world.driver.settle("uploads/b.jpg"));
    for (const std::string key : {"uploads/2026/02/25/absent.jpg", "uploads/absent/a.jpg"})
        CHECK(world.driver.settle(key).error().kind == ErrorKind::not_found);
}

TEST_CASE("local driver: removing twice is as good as once", "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/x/a", "1"));
    CHECK(world.driver.remove("uploads/x/a"));
    CHECK(world.driver.remove("uploads/x/a"));
    CHECK(world.driver.remove("uploads/never/was/there"));
    CHECK(world.driver.head("uploads/x/a").error().kind == ErrorKind::not_found);
}

TEST_CASE("local driver: lists are in the order of bytes, however they are cut",
          "[storage][driver]") {
    World world;
    // "a-b" stands before "a.b" before "a/b" before "a0": not the order of a tree.
    const std::vector<std::string> keys{
        "uploads/a-b/x", "uploads/a.b", "uploads/a/b",      "uploads/a/c/d", "uploads/a/d",
        "uploads/a0",    "uploads/b",   "uploads/b0/c/d/e", "uploads/c",     "uploads/\xC3\xA4",
    };
    for (const std::string& key : keys)
        REQUIRE(world.put(key, "x"));
    world.folder.make("pool/empty/inside");
    world.folder.make("pool/.hidden");
    world.folder.write("pool/.hidden/a", "x");
    world.folder.write("pool/.profile", "x");
    world.folder.write("pool/b.tmp", "x");
    world.folder.link("pool/bb", "b");
    world.folder.link("pool/linked", "a");
    REQUIRE(mkfifo(world.folder.path("pool/pipe").c_str(), 0600) == 0);
    for (const std::size_t limit : {1UL, 2UL, 3UL, 7UL, 10UL, 1000UL}) {
        CHECK(world.keys("", limit) == keys);
        CHECK(world.keys("uploads/", limit) == keys);
        CHECK(world.keys("upl", limit) == keys);
        CHECK(world.keys("uploads/a/", limit) ==
              std::vector<std::string>{"uploads/a/b", "uploads/a/c/d", "uploads/a/d"});
        CHECK(world.keys("uploads/b", limit) ==
              std::vector<std::string>{"uploads/b", "uploads/b0/c/d/e"});
    }
    CHECK(world.keys("other/", 10).empty());
    CHECK(world.keys("uploads/a/c/d/e", 10).empty());
    CHECK(world.driver.list("", "", 1)->objects[0].size == 1);
}

TEST_CASE("local driver: a base path that is gone is no empty pool", "[storage][driver]") {
    World world;
    LocalDriver gone(at(world.folder.path("nowhere")), "uploads/");
    const auto page = gone.list("", "", 10);
    REQUIRE_FALSE(page);
    CHECK(page.error().kind == ErrorKind::io);
    CHECK_FALSE(gone.remove("uploads/a"));
    CHECK(gone.head("uploads/a").error().kind == ErrorKind::io);
    CHECK_FALSE(gone.check(false));
    CHECK_FALSE(gone.space());
}

TEST_CASE("local driver: without its marker a pool is not there, and nothing is written",
          "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/x/a", "content"));
    const auto info = world.driver.head("uploads/x/a");
    conf::PoolSettings settings = at(world.folder.path("pool"));
    settings.marker = ".mounted";
    LocalDriver driver(settings, "uploads/");
    // Of that disk; it comes while another folder is in its place.
    world.folder.write("pool/.mounted", "");
    auto staged = driver.stage("uploads/x/staged");
    REQUIRE(staged);
    world.folder.rename("pool", "away");
    world.folder.make("pool");

    const auto is_away = [&](const auto& result) {
        if (result || result.error().kind != ErrorKind::io || !result.error().store) return false;
        return result.error().text ==
               "pool hot: " + settings.base_path +
                   " has no file .mounted (pool.marker): is its disk mounted?";
    };
    const PutOptions options{.size = 7};
    MemorySource source("content");
    MemorySink sink(100);
    std::string bytes(10, ' ');
    const std::vector<std::string> keys{"uploads/x/a"};
    for (const bool has_folder : {false, true}) {
        CHECK(is_away(driver.put("uploads/x/b", source, options)));
        CHECK(is_away(driver.put_pushed("uploads/b", [](ByteSink&) -> Result<void> { return {}; },
                                        {.size = 0})));
        CHECK(is_away(driver.stage("uploads/x/c")));
        CHECK(is_away(driver.copy_within_store(driver, "uploads/x/a", "uploads/d", options)));
        CHECK(is_away(driver.get("uploads/x/a", {}, sink)));
        CHECK(is_away(driver.source("uploads/x/a")->read(bytes)));
        CHECK(is_away(driver.head("uploads/x/a")));
        CHECK(is_away(driver.heads(keys)));
        CHECK(is_away(driver.remove("uploads/x/a")));
        CHECK(is_away(driver.set_aside("uploads/x/a", *info, "quarantine/")));
        CHECK(is_away(driver.list("", "", 10)));
        CHECK(is_away(driver.space()));
        CHECK(is_away(driver.check(false)));
        CHECK(is_away(driver.check(true)));
        CHECK(is_away(driver.sweep_strays(std::time(nullptr), false)));
        if (!has_folder) CHECK(world.names_in("pool").empty());
        world.folder.make("pool/x");
    }
    CHECK(world.names_in("pool") == std::vector<std::string>{"x"});
    CHECK(world.names_in("pool/x").empty());
    // What is there is not removed from, or copied to, a wrong disk either.
    world.folder.write("pool/x/a", "content");
    CHECK(is_away(driver.remove("uploads/x/a")));
    CHECK(is_away(driver.copy_within_store(driver, "uploads/x/a", "uploads/d", options)));
    CHECK(world.folder.read("pool/x/a") == "content");
    CHECK(driver.head("uploads/x/a"));

    REQUIRE((*staged)->keep({}));
    CHECK(world.names_in("away/x").size() == 2);
    world.folder.rename("pool", "wrong");
    world.folder.rename("away", "pool");
    CHECK(driver.head("uploads/x/staged"));
    CHECK(driver.list("", "", 10)->objects.size() == 2);
    CHECK(driver.space());
    CHECK(driver.check(true));
    REQUIRE(driver.remove("uploads/x/a"));
    CHECK(driver.head("uploads/x/a").error().kind == ErrorKind::not_found);
    CHECK(driver.heads(keys)->empty());
}

TEST_CASE("local driver: its marker is left alone, and is no object", "[storage][driver]") {
    World world;
    conf::PoolSettings settings = at(world.folder.path("pool"));
    settings.marker = "b.jpg";
    LocalDriver driver(settings, "uploads/");
    world.folder.write("pool/b.jpg", "marker");
    for (const char* key : {"uploads/a.jpg", "uploads/c.jpg", "uploads/x/b.jpg"})
        REQUIRE(world.put(key, "content"));
    const auto page = driver.list("", "", 2);
    REQUIRE(page);
    REQUIRE(page->objects.size() == 2);
    CHECK(page->objects[1].key == "uploads/c.jpg");
    CHECK(driver.list("", page->next, 2)->objects.size() == 1);
    const std::vector<std::string> keys{"uploads/b.jpg", "uploads/a.jpg", "uploads/x/b.jpg"};
    CHECK(driver.heads(keys)->size() == 2);
    CHECK(driver.head("uploads/b.jpg").error().kind == ErrorKind::not_found);
    MemorySource source("content");
    CHECK(driver.put("uploads/b.jpg", source, {.size = 7}).error().kind == ErrorKind::invalid);
    CHECK(driver.stage("uploads/b.jpg").error().kind == ErrorKind::invalid);
    CHECK(driver.remove("uploads/b.jpg"));
    CHECK(driver.set_aside("uploads/b.jpg", {.key = "uploads/b.jpg", .size = 6}, "quarantine/"));
    CHECK(world.folder.read("pool/b.jpg") == "marker");
}

TEST_CASE("local driver: only our own old temporaries are swept", "[storage][driver]") {
    World world;
    const std::string ours = ".tidepool-0123456789abcdef.tmp";
    world.folder.make("pool/2026/02");
    world.folder.write("pool/2026/02/" + ours, "x");
    world.folder.write("pool/.tidepool-fedcba9876543210.tmp", "fresh");
    world.folder.write("pool/2026/upload.tmp", "another's");
    world.folder.write("pool/.tidepool-notes", "another's");
    const timeval old[2]{{1'000'000, 0}, {1'000'000, 0}};
    for (const std::string& name :
         {"2026/02/" + ours, std::string("2026/upload.tmp"), std::string(".tidepool-notes")}) {
        REQUIRE(utimes(world.folder.path("pool/" + name).c_str(), old) == 0);
    }
    // A put gives its temporary the object's time, which may be long ago: that alone says nothing.
    CHECK(world.driver.sweep_temporaries(std::chrono::hours(1)) == 0);
    CHECK(world.driver.sweep_temporaries(std::chrono::seconds(0)) == 2);
    CHECK(world.names_in("pool/2026/02").empty());
    CHECK(world.names_in("pool").size() == 2);
    CHECK(world.names_in("pool/2026").size() == 2);
}

TEST_CASE("local driver: strays are counted without being removed", "[storage][driver]") {
    World world;
    world.folder.write("pool/.tidepool-fedcba9876543210.tmp", "half");
    const std::int64_t now_s = std::time(nullptr);
    CHECK(world.driver.sweep_strays(now_s - 3600, true)->temporaries == 0);
    CHECK(world.driver.sweep_strays(now_s, true)->temporaries == 1);
    CHECK(world.driver.sweep_strays(now_s, true)->temporaries == 1);
    CHECK(world.driver.sweep_strays(now_s, false)->temporaries == 1);
    CHECK(world.driver.sweep_strays(now_s, true)->temporaries == 0);
}

TEST_CASE("local driver: what is set aside is kept, and is no object any more",
          "[storage][driver]") {
    World world;
    REQUIRE(world.put("uploads/a/b.jpg", "content"));
    const auto info = world.driver.head("uploads/a/b.jpg");
    REQUIRE(info);
    REQUIRE(world.driver.set_aside("uploads/a/b.jpg", *info, "quarantine/"));
    CHECK(world.keys("", 10).empty());
    CHECK_FALSE(world.driver.head("uploads/a/b.jpg"));
    const std::string folder = "pool/.quarantine/" + std::to_string(info->modified_s) + "-7/a";
    CHECK(world.names_in(folder) == std::vector<std::string>{"b.jpg"});
    // Doing it again is nothing to do; another one of the same time and size goes beside it.
    CHECK(world.driver.set_aside("uploads/a/b.jpg", *info, "quarantine/"));
    CHECK(world.driver.set_aside("uploads/absent/b.jpg", *info, "quarantine/"));
    REQUIRE(world.put("uploads/a/b.jpg", "CONTENT"));
    REQUIRE(world.driver.set_aside("uploads/a/b.jpg", *info, "quarantine/"));
    CHECK(world.names_in(folder).size() == 2);
    // A folder is not taken for an object.
    CHECK_FALSE(world.driver.set_aside("uploads/a", *info, "quarantine/"));
    CHECK_FALSE(world.driver.set_aside("uploads/../x", *info, "quarantine/"));
}

TEST_CASE("local driver: copies between pools on one machine", "[storage][driver]") {
    World world;
    world.folder.make("other");
    LocalDriver other(at(world.folder.path("other")), "uploads/");
    const std::string content(3 * 1024 * 1024 + 7, 'c');
    REQUIRE(world.put("uploads/a", content));
    PutOptions options{.size = content.size(), .sha256 = conf::sha256(content)};
    const auto copied = other.copy_within_store(world.driver, "uploads/a", "uploads/x/b", options);
    REQUIRE(copied);
    if (*copied) {  // nothing where this file system cannot
        CHECK((*copied)->sha256 == options.sha256);
        CHECK(world.folder.read("other/x/b") == content);
    }
    options.sha256 = conf::sha256("other");
    const auto differs = other.copy_within_store(world.driver, "uploads/a", "uploads/c", options);
    CHECK((!differs || !*differs));
    CHECK_FALSE(other.head("uploads/c"));
    CHECK_FALSE(other.copy_within_store(world.driver, "uploads/none", "uploads/c", options));
    CHECK_FALSE(other.copy_within_store(world.driver, "uploads/a", "uploads/c", {.size = 1}));
    CHECK_FALSE(other.copy_within_store(world.driver, "a", "uploads/c", options));
}

TEST_CASE("local driver: checks say what was found and clean up", "[storage][driver]") {
    World world;
    const auto read_only = world.driver.check(false);
    REQUIRE(read_only);
    CHECK(read_only->at(0) == world.folder.path("pool") + " is readable");
    CHECK(world.driver.check(true)->size() == read_only->size() + 1);
    CHECK(world.names_in("pool").empty());
    const auto space = world.driver.space();
    REQUIRE(space);
    CHECK(*space->free_bytes <= *space->total_bytes);
}

TEST_CASE("local driver: a staged file gets its name when it is kept, and leaves nothing else",
          "[local_driver]") {
    World world;
    const std::string key = "uploads/original/2026/02/25/a.jpg";
    const std::string folder = "pool/original/2026/02/25";
    const auto write_content = [](StagedFile& file, std::string_view content) {
        REQUIRE(write(file.fd(), content.data(), content.size()) ==
                static_cast<ssize_t>(content.size()));
    };
    {
        auto staged = world.driver.stage(key);
        REQUIRE(staged);
        REQUIRE(*staged);
        write_content(**staged, "content");
        CHECK(world.driver.head(key).error().kind == ErrorKind::not_found);
        CHECK(world.keys("uploads/", 10).empty());
        const auto kept = (*staged)->keep({.size = 7, .modified_s = 1'000'000'000});
        REQUIRE(kept);
        CHECK(kept->size == 7);
    }
    CHECK(world.get(key) == "content");
    CHECK(world.driver.head(key)->modified_s == 1'000'000'000);
    CHECK(world.names_in(folder) == std::vector<std::string>{"a.jpg"});
    {
        auto dropped = world.driver.stage("uploads/original/2026/02/25/b.jpg");
        write_content(**dropped, "never kept");
    }
    CHECK(world.names_in(folder) == std::vector<std::string>{"a.jpg"});
    auto second = world.driver.stage(key);
    write_content(**second, "other");
    CHECK((*second)->keep({.size = 4}).error().kind == ErrorKind::corrupt);
    CHECK((*second)->keep({.size = 5}).error().kind == ErrorKind::conflict);
    CHECK(world.get(key) == "content");
    CHECK(world.driver.stage("uploads/.hidden/a.jpg").error().kind == ErrorKind::invalid);
    CHECK(world.driver.stage("uploads/../a.jpg").error().kind == ErrorKind::invalid);
}
