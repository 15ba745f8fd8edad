#include "storage/open_file.h"

#include "tests/support/folder.h"

#include <array>
#include <csignal>
#include <memory>
#include <span>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

std::unique_ptr<OpenFile> open_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status{};
    REQUIRE(fstat(fd, &status) == 0);
    return std::make_unique<OpenFile>(fd, FileIdentity::of(status), 0);
}

std::string read(const OpenFile& file, std::uint64_t offset, std::size_t bytes) {
    std::string into(bytes, '?');
    REQUIRE(file.read(offset, into));
    return into;
}

// Sets a file's time of modification; two writes in one tick of the kernel's clock share theirs.
void set_modified(const std::string& path, std::int64_t seconds) {
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{seconds, 123'456'789}};
    REQUIRE(utimensat(AT_FDCWD, path.c_str(), times.data(), 0) == 0);
}

}  // namespace

TEST_CASE("open file: any part is read, exactly", "[storage][file]") {
    const test::Folder folder;
    folder.write("a", "0123456789");
    const auto file = open_file(folder.path("a"));
    CHECK(read(*file, 0, 10) == "0123456789");
    CHECK(read(*file, 3, 4) == "3456");
    CHECK(read(*file, 9, 1) == "9");
    CHECK(read(*file, 10, 0).empty());
    CHECK(read(*file, 5, 0).empty());
    CHECK(read(*file, 0, 2) == "01");  // earlier parts may be read later
}

TEST_CASE("open file: a file that ends too early is busy, not short", "[storage][file]") {
    const test::Folder folder;
    folder.write("a", "0123456789");
    const auto file = open_file(folder.path("a"));
    std::array<char, 11> into{};
    const auto beyond = file->read(0, into);
    REQUIRE_FALSE(beyond);
    CHECK(beyond.error().kind == ErrorKind::busy);
    REQUIRE(truncate(folder.path("a").c_str(), 4) == 0);
    const auto cut = file->read(0, std::span(into).first(10));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().kind == ErrorKind::busy);
}

TEST_CASE("open file: a disk that fails is told", "[storage][file]") {
    const test::Folder folder;
    // Reading a folder fails with EISDIR, as a bad disk does with EIO.
    const OpenFile file(open(folder.path("").c_str(), O_RDONLY | O_CLOEXEC), {}, 0);
    std::array<char, 1> into{};
    CHECK_FALSE(file.read(0, into));
}

TEST_CASE("open file: identities tell versions apart", "[storage][file]") {
    const test::Folder folder;
    folder.write("a", "one");
    folder.write("b", "one");
    const FileIdentity a = open_file(folder.path("a"))->identity();
    CHECK(a == open_file(folder.path("a"))->identity());
    CHECK_FALSE(a == open_file(folder.path("b"))->identity());
    CHECK(a.size == 3);

    set_modified(folder.path("a"), 784'111'777);
    const FileIdentity touched = open_file(folder.path("a"))->identity();
    CHECK(touched.modified_ns == 784'111'777'123'456'789);
    CHECK(touched.modified_s() == 784'111'777);
    CHECK(touched.inode == a.inode);
    CHECK_FALSE(touched == a);

    folder.rename("b", "a");
    CHECK_FALSE(open_file(folder.path("a"))->identity().inode == a.inode);
}

TEST_CASE("open file: it knows when its file was changed in place", "[storage][file]") {
    const test::Folder folder;
    folder.write("a", "one");
    set_modified(folder.path("a"), 784'111'777);
    {
        const auto file = open_file(folder.path("a"));
        CHECK(file->unchanged());
        CHECK(read(*file, 0, 3) == "one");
        CHECK(file->unchanged());
        folder.write("a", "two");
        CHECK_FALSE(file->unchanged());
    }
    {
        const auto file = open_file(folder.path("a"));
        CHECK(file->unchanged());
        REQUIRE(truncate(folder.path("a").c_str(), 2) == 0);
        CHECK_FALSE(file->unchanged());
    }
    {
        // A rename over it, or its removal, leaves the version that is open.
        const auto file = open_file(folder.path("a"));
        folder.write("b", "another");
        folder.rename("b", "a");
        CHECK(file->unchanged());
        CHECK(read(*file, 0, 2) == "tw");
    }
}

TEST_CASE("open file: it knows of writers", "[storage][file]") {
    std::signal(SIGIO, SIG_IGN);  // as the server does
    const test::Folder folder;
    folder.write("a", "one");
    const auto file = open_file(folder.path("a"));
    if (file->writers() == OpenFile::Writers::unknown) {
        WARN("the file system of the temporary folder has no leases");
        return;
    }
    CHECK(file->writers() == OpenFile::Writers::none);
    const int writer = open(folder.path("a").c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(writer >= 0);
    CHECK(file->writers() == OpenFile::Writers::some);
    close(writer);
    CHECK(file->writers() == OpenFile::Writers::none);
    // Looking leaves no lease behind that would hold up a writer.
    const int next = open(folder.path("a").c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    CHECK(next >= 0);
    close(next);
}

TEST_CASE("open file: what was just written is in memory", "[storage][file]") {
    const test::Folder folder;
    folder.write("small", "0123456789");
    const auto small = open_file(folder.path("small"));
    CHECK(small->in_memory(0, 10, 1000));
    CHECK(small->in_memory(3, 2, 1001));
    CHECK(small->in_memory(0, 10, 9000));
    CHECK(small->in_memory(10, 0, 9000));
    folder.write("large", std::string(5'000'000, 'x'));
    const auto large = open_file(folder.path("large"));
    CHECK(large->in_memory(0, 5'000'000, 1000));
    CHECK(large->in_memory(4'999'999, 1, 1000));
}

TEST_CASE("open file: a pool that is slowed down for a test is never in memory",
          "[storage][file]") {
    const test::Folder folder;
    folder.write("a", "one");
    const OpenFile file(open(folder.path("a").c_str(), O_RDONLY | O_CLOEXEC),
                        open_file(folder.path("a"))->identity(), 1);
    CHECK_FALSE(file.in_memory(0, 3, 1000));
    CHECK(file.in_memory(0, 0, 1000));
    CHECK(read(file, 0, 3) == "one");
}

TEST_CASE("open file: the descriptor ends with it", "[storage][file]") {
    const test::Folder folder;
    folder.write("a", "one");
    auto file = open_file(folder.path("a"));
    const int fd = file->fd();
    REQUIRE(fcntl(fd, F_GETFD) >= 0);
    file.reset();
    CHECK(fcntl(fd, F_GETFD) < 0);
}
