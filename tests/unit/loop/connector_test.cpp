#include "proxy/loop/connector.h"

#include "proxy/loop/task.h"
#include "tests/support/stub_origin.h"

#include <coroutine>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace tidepool;
using namespace tidepool::loop;

namespace {

SocketAddress loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    SocketAddress found;
    std::memcpy(&found.storage, &address, sizeof address);
    found.length = sizeof address;
    return found;
}

// A port that is taken and refuses connections, or, full of them already, says nothing to others.
class DeadPort {
  public:
    explicit DeadPort(bool is_silent) {
        sockaddr_in address{};
        socklen_t length = sizeof address;
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(bind(fd_, reinterpret_cast<const sockaddr*>(&address), length) == 0);
        REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
        port_ = ntohs(address.sin_port);
        if (!is_silent) return;
        REQUIRE(listen(fd_, 0) == 0);
        const SocketAddress here = loopback(port_);
        for (int i = 0; i < 8; ++i) {
            const int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            (void)connect(one, here.get(), here.length);  // fills the queue, or waits in vain
            filling_.push_back(one);
        }
    }
    ~DeadPort() {
        for (const int each : filling_)
            close(each);
        close(fd_);
    }
    DeadPort(const DeadPort&) = delete;
    DeadPort& operator=(const DeadPort&) = delete;
    SocketAddress address() const { return loopback(port_); }

  private:
    int fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::uint16_t port_ = 0;
    std::vector<int> filling_;
};

struct Told {
    std::coroutine_handle<> waiter;
    static void tell(void* self) {
        std::exchange(static_cast<Told*>(self)->waiter, nullptr).resume();
    }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept { waiter = handle; }
    void await_resume() const noexcept {}
};

// The port that was connected to, or why none was.
Result<std::uint16_t> connect_to(std::vector<SocketAddress> addresses) {
    Loop loop;
    std::optional<Result<std::uint16_t>> got;
    const auto ask = [&]() -> Task<> {
        Told told;
        Connector connector(loop, std::move(addresses), &Told::tell, &told);
        if (!connector.is_done()) co_await told;
        REQUIRE(connector.is_done());
        const auto fd = connector.take();
        if (!fd) {
            got = std::unexpected(fd.error());
            co_return;
        }
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        CHECK(getpeername(*fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0);
        close(*fd);
        got = ntohs(peer.sin_port);
    };
    loop.tasks().spawn(ask());
    loop.stop();
    loop.run();
    return *got;
}

}  // namespace

TEST_CASE("connector: the first that answers", "[loop][connector]") {
    const test::StubOrigin origin(test::answer(200, ""));
    const test::StubOrigin other(test::answer(200, ""));
    const DeadPort refuses(false);
    const DeadPort silent(true);
    const SocketAddress good = loopback(origin.port());
    const SocketAddress second = loopback(other.port());
    CHECK(connect_to({good}) == origin.port());
    CHECK(connect_to({good, second}) == origin.port());
    CHECK(connect_to({refuses.address(), good}) == origin.port());
    CHECK(connect_to({refuses.address(), refuses.address(), good, second}) == origin.port());
    CHECK(connect_to({silent.address(), good}) == origin.port());
    CHECK(connect_to({silent.address(), refuses.address(), silent.address(), good}) ==
          origin.port());
}

TEST_CASE("connector: nobody answers", "[loop][connector]") {
    const DeadPort refuses(false);
    const auto none = connect_to({});
    REQUIRE_FALSE(none);
    CHECK(none.error().kind == ErrorKind::io);
    const auto refused = connect_to({refuses.address(), refuses.address()});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::io);
    CHECK(refused.error().text.contains(refuses.address().text()));
}

TEST_CASE("connector: dropped while it tries", "[loop][connector]") {
    const DeadPort silent(true);
    Loop loop;
    Told told;
    {
        const Connector connector(loop, {silent.address(), silent.address()}, &Told::tell, &told);
        CHECK_FALSE(connector.is_done());
    }
    loop.stop();
    loop.run();
}
