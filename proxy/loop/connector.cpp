#include "proxy/loop/connector.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::loop {

namespace {

Error failure(int error_number, const std::string& what) {
    return {ErrorKind::io, fail_errno(error_number, what).error().text};
}

}  // namespace

struct Connector::Attempt final : Watcher {
    Attempt(Connector& its_connector, const SocketAddress& its_address, int its_fd)
        : connector(its_connector), address(its_address), fd(its_fd) {
        connector.loop_.watch(fd, EPOLLOUT | EPOLLET, *this);
    }
    ~Attempt() {
        if (fd < 0) return;
        connector.loop_.unwatch(fd);
        close(fd);
    }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

    void on_events(std::uint32_t) override { connector.judge(*this); }
    int take() {
        connector.loop_.unwatch(fd);
        return std::exchange(fd, -1);
    }

    Connector& connector;
    const SocketAddress& address;
    int fd;
};

Connector::Connector(Loop& loop, std::vector<SocketAddress> addresses, Callback told, void* owner)
    : loop_(loop),
      addresses_(std::move(addresses)),
      told_(told),
      owner_(owner),
      patience_(
          loop.wheel(), [](void* self) { static_cast<Connector*>(self)->out_of_patience(); },
          this) {
    try_next();
}

Connector::~Connector() {
    if (connected_) close(*connected_);
}

// Until one is on its way, or none is left.
void Connector::try_next() {
    patience_.clear();
    while (next_ < addresses_.size()) {
        const SocketAddress& address = addresses_[next_++];
        const int fd = ::socket(address.storage.ss_family,
                                SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
        if (fd < 0) {
            error_ = failure(errno, "socket");
            continue;
        }
        const int yes = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
        if (connect(fd, address.get(), address.length) != 0 && errno != EINPROGRESS) {
            error_ = failure(errno, "connect to " + address.text());
            close(fd);
            continue;
        }
        trying_.push_back(std::make_unique<Attempt>(*this, address, fd));
        if (next_ < addresses_.size()) patience_.set(loop_.now_ms() + kPatienceMs);
        return;
    }
}

void Connector::judge(Attempt& attempt) {
    int failed = 0;
    socklen_t length = sizeof failed;
    if (getsockopt(attempt.fd, SOL_SOCKET, SO_ERROR, &failed, &length) != 0) failed = errno;
    if (failed == 0) {
        connected_ = attempt.take();
        trying_.clear();
        patience_.clear();
    } else {
        error_ = failure(failed, "connect to " + attempt.address.text());
        std::erase_if(trying_, [&](const auto& each) { return each.get() == &attempt; });
        try_next();
    }
    if (is_done()) told_(owner_);
}

void Connector::out_of_patience() {
    try_next();
    if (is_done()) told_(owner_);
}

Result<int> Connector::take() {
    if (!connected_) return std::unexpected(error_);
    const int fd = *connected_;
    connected_.reset();
    return fd;
}

}  // namespace tidepool::loop
