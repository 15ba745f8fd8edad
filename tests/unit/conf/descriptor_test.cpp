#include "conf/descriptor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool::conf;

namespace {

// Two descriptors, the second of which reads what was written to the first.
struct Ends {
    explicit Ends(int type) {
        std::array<int, 2> fds{};
        REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()) == 0);
        writer = Descriptor(fds[0]);
        reader = Descriptor(fds[1]);
    }
    Descriptor writer, reader;
};

}  // namespace

TEST_CASE("A long write is many calls, none of which holds a core for long") {
    Ends ends(SOCK_SEQPACKET);  // keeps calls apart
    std::string content(1024UL * 1024 + 17, 'a');
    for (std::size_t i = 0; i < content.size(); ++i)
        content[i] = static_cast<char>(i * 7 / 5);
    int failed = -1;
    std::thread writing([&] {
        failed = write_all(ends.writer.get(), content);
        ends.writer = Descriptor();
    });
    std::string got;
    std::string call(content.size(), '\0');
    std::size_t longest = 0;
    while (true) {
        const ssize_t count = read(ends.reader.get(), call.data(), call.size());
        if (count <= 0) break;
        longest = std::max(longest, static_cast<std::size_t>(count));
        got.append(call, 0, static_cast<std::size_t>(count));
    }
    writing.join();
    CHECK(failed == 0);
    CHECK(got == content);
    CHECK(longest <= 128UL * 1024);
}

TEST_CASE("A write that fails says how") {
    Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    CHECK(write_all(full.get(), std::string("something")) == ENOSPC);
    CHECK(write_all(full.get(), {}) == 0);
    CHECK(write_all(-1, std::string("something")) == EBADF);
}

TEST_CASE("What a file does not hold cannot be read") {
    Descriptor file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(write_all(file.get(), std::string("0123456789")) == 0);
    std::string got(4, '\0');
    CHECK(read_all(file.get(), got, 3) == 0);
    CHECK(got == "3456");
    CHECK(read_all(file.get(), got, 7) == EIO);
}
