#include "storage/local_pool.h"

#include "tests/support/folder.h"

#include <array>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

// A pool in a folder "pool" beside what it must not reach.
struct World {
    World() {
        folder.make("pool");
        folder.write("secret.jpg", "secret");
        folder.write("pool/a.jpg", "a picture");
    }
    ErrorKind error_of(const std::string& key) const {
        const auto opened = pool.open(key);
        INFO(key);
        REQUIRE_FALSE(opened);
        return opened.error().kind;
    }
    test::Folder folder;
    LocalPool pool{at(folder.path("pool")), "uploads/"};
};

std::string content_of(const OpenFile& file) {
    std::string content(file.identity().size, '?');
    REQUIRE(file.read(0, content));
    return content;
}

}  // namespace

TEST_CASE("local pool: what is not below its prefix is not there", "[storage][pool]") {
    const World world;
    for (const char* key : {"images/a.jpg", "uploadsa.jpg", "xxxxxxx/a.jpg", "upload", ""})
        CHECK(world.error_of(key) == ErrorKind::not_found);
}

TEST_CASE("local pool: regular files are opened, at any depth", "[storage][pool]") {
    World world;
    world.folder.make("pool/2026/02");
    world.folder.write("pool/2026/02/b c.webp", "another");
    world.folder.write("pool/\xC3\xA4.png", "");
    CHECK(content_of(**world.pool.open("uploads/a.jpg")) == "a picture");
    CHECK(content_of(**world.pool.open("uploads/2026/02/b c.webp")) == "another");
    CHECK((*world.pool.open("uploads/\xC3\xA4.png"))->identity().size == 0);
    CHECK(world.pool.name() == "hot");
}

TEST_CASE("local pool: what is not there, or a folder, is not found", "[storage][pool]") {
    World world;
    world.folder.make("pool/folder");
    for (const std::string key :
         {"uploads/b.jpg", "uploads/x/a.jpg", "uploads/folder", "uploads/a.jpg/b", "uploads/a.jpg/",
          "uploads/A.JPG", "uploads/"}) {
        CHECK(world.error_of(key) == ErrorKind::not_found);
    }
    CHECK(world.error_of("uploads/" + std::string(300, 'a')) == ErrorKind::not_found);
}

// Invariant 9.
TEST_CASE("local pool: no link and no path leads out of it", "[storage][pool]") {
    World world;
    const test::Folder& folder = world.folder;
    folder.make("outside");
    folder.write("outside/b.jpg", "secret");
    folder.link("pool/to_file.jpg", folder.path("secret.jpg"));
    folder.link("pool/to_relative.jpg", "../secret.jpg");
    folder.link("pool/to_folder", folder.path("outside"));
    folder.link("pool/to_itself", "to_itself");
    folder.link("pool/to_nothing", "nowhere");
    folder.link("pool/to_inside.jpg", "a.jpg");  // a way inside is no way either
    folder.make("pool/real");
    folder.write("pool/real/c.jpg", "a picture");
    folder.link("pool/to_real", "real");
    folder.link("pool/to_process", "/proc/self");
    for (const std::string key :
         {"uploads/to_file.jpg", "uploads/to_relative.jpg", "uploads/to_folder/b.jpg",
          "uploads/to_folder", "uploads/to_itself", "uploads/to_nothing", "uploads/to_inside.jpg",
          "uploads/to_real/c.jpg", "uploads/to_process/exe", "uploads/../secret.jpg",
          "uploads/x/../../secret.jpg", "uploads//etc/hostname"}) {
        const ErrorKind kind = world.error_of(key);
        INFO(key);
        // "x" does not exist; all others are stopped on their way.
        CHECK(kind == (key.starts_with("uploads/x/") ? ErrorKind::not_found : ErrorKind::denied));
    }
    // Even where the folder in front of ".." exists.
    folder.make("pool/x");
    CHECK(world.error_of("uploads/x/../../secret.jpg") == ErrorKind::denied);
    // A hard link is a file of the pool.
    REQUIRE(link(folder.path("secret.jpg").c_str(), folder.path("pool/hard.jpg").c_str()) == 0);
    CHECK(content_of(**world.pool.open("uploads/hard.jpg")) == "secret");
}

TEST_CASE("local pool: pipes, sockets and devices are denied and do not block", "[storage][pool]") {
    World world;
    REQUIRE(mkfifo(world.folder.path("pool/pipe.jpg").c_str(), 0600) == 0);
    CHECK(world.error_of("uploads/pipe.jpg") == ErrorKind::denied);

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = world.folder.path("pool/socket.jpg");
    REQUIRE(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK(world.error_of("uploads/socket.jpg") == ErrorKind::denied);
    close(listener);

    const LocalPool devices(at("/dev"), "uploads/");
    const auto null = devices.open("uploads/null");
    REQUIRE_FALSE(null);
    CHECK(null.error().kind == ErrorKind::denied);
}

TEST_CASE("local pool: a base path that is gone is the disk's fault, not an absence",
          "[storage][pool]") {
    World world;
    const LocalPool gone(at(world.folder.path("nowhere")), "uploads/");
    const auto from_gone = gone.open("uploads/a.jpg");
    REQUIRE_FALSE(from_gone);
    CHECK(from_gone.error().kind == ErrorKind::io);
    CHECK(from_gone.error().may_retry());
    CHECK_FALSE(gone.check());

    const LocalPool no_folder(at(world.folder.path("secret.jpg")), "uploads/");
    const auto from_file = no_folder.open("uploads/a.jpg");
    REQUIRE_FALSE(from_file);
    CHECK(from_file.error().kind == ErrorKind::io);
    CHECK_FALSE(no_folder.check());

    CHECK(world.pool.check());
}

TEST_CASE("local pool: without its marker what is not found is the disk's fault",
          "[storage][pool]") {
    World world;
    conf::PoolSettings settings = at(world.folder.path("pool"));
    settings.marker = ".mounted";
    const LocalPool pool(settings, "uploads/");
    const std::string base = world.folder.path("pool");
    const auto error_of = [&](const std::string& key) {
        const auto opened = pool.open(key);
        INFO(key);
        REQUIRE_FALSE(opened);
        return opened.error();
    };
    world.folder.make("pool/folder");
    world.folder.link("pool/link.jpg", "a.jpg");
    for (const char* key :
         {"uploads/b.jpg", "uploads/x/a.jpg", "uploads/folder", "uploads/link.jpg"}) {
        const Error error = error_of(key);
        CHECK(error.kind == ErrorKind::io);
        CHECK(error.text ==
              "pool hot: " + base + " has no file .mounted (pool.marker): is its disk mounted?");
    }
    CHECK(pool.check().error().kind == ErrorKind::io);
    CHECK(pool.open_base().error().kind == ErrorKind::io);
    CHECK(content_of(**pool.open("uploads/a.jpg")) == "a picture");

    world.folder.make("pool/.mounted");  // no file
    CHECK(error_of("uploads/b.jpg").kind == ErrorKind::io);
    world.folder.rename("pool/.mounted", "elsewhere");
    world.folder.write("pool/.mounted", "");
    CHECK(error_of("uploads/b.jpg").kind == ErrorKind::not_found);
    CHECK(error_of("uploads/folder").kind == ErrorKind::not_found);
    CHECK(error_of("uploads/link.jpg").kind == ErrorKind::denied);
    CHECK(pool.check());
    CHECK(pool.open_base());
}

TEST_CASE("local pool: its marker is no object", "[storage][pool]") {
    World world;
    conf::PoolSettings settings = at(world.folder.path("pool"));
    settings.marker = "a.jpg";
    const LocalPool pool(settings, "uploads/");
    world.folder.make("pool/x");
    world.folder.write("pool/x/a.jpg", "another");
    CHECK(pool.open("uploads/a.jpg").error().kind == ErrorKind::not_found);
    CHECK(content_of(**pool.open("uploads/x/a.jpg")) == "another");
}

TEST_CASE("local pool: a base path that is swapped is followed at once", "[storage][pool]") {
    World world;
    world.folder.make("next");
    world.folder.write("next/a.jpg", "next picture");
    const auto before = world.pool.open("uploads/a.jpg");
    REQUIRE(before);
    world.folder.rename("pool", "old");
    world.folder.rename("next", "pool");
    CHECK(content_of(**world.pool.open("uploads/a.jpg")) == "next picture");
    CHECK(content_of(**before) == "a picture");
}

TEST_CASE("local pool: an empty prefix takes keys as they are", "[storage][pool]") {
    World world;
    const LocalPool pool(at(world.folder.path("pool")), "");
    CHECK(content_of(**pool.open("a.jpg")) == "a picture");
}
