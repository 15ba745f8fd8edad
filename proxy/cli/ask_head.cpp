#include "proxy/cli/ask_head.h"

#include "conf/descriptor.h"
#include "proxy/cli/socket_address.h"
#include "proxy/edge/message.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

namespace tidepool::cli {

namespace {

using AskClock = std::chrono::steady_clock;
using conf::ListenAddress;

constexpr std::chrono::seconds kConnectTime{19};  // then the edge says 522
constexpr std::chrono::seconds kAnswerTime{100};  // then it says 524

// Of every address of the machine, loopback.
ListenAddress address_to_ask(ListenAddress to) {
    if (to.family == ListenAddress::Family::inet4 && to.host == "0.0.0.0") to.host = "127.0.0.1";
    if (to.family == ListenAddress::Family::inet6 && to.host == "::") to.host = "::1";
    return to;
}

// Until the socket can be read or written, or the time has come.
Result<void> await_socket(int fd, short events, AskClock::time_point until,
                          const std::string& what) {
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - AskClock::now()).count();
        if (left <= 0) return fail(ErrorKind::timed_out, what);
        pollfd watched{fd, events, 0};
        const int ready = poll(&watched, 1, static_cast<int>(left));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail_errno(errno, what);
    }
}

Result<conf::Descriptor> connect_to(const ListenAddress& to) {
    const std::string what = "connect to " + to.text();
    const SocketAddress address = to_socket_address(address_to_ask(to));
    conf::Descriptor opened(
        socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!opened) return fail_errno(errno, what);
    if (connect(opened.get(), address.get(), address.length) == 0) return opened;
    if (errno != EINPROGRESS) return fail_errno(errno, what);
    const auto ready = await_socket(opened.get(), POLLOUT, AskClock::now() + kConnectTime,
                                    what + ": no answer within 19 s (the edge says 522)");
    if (!ready) return std::unexpected(ready.error());
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(opened.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail_errno(error, what);
    return opened;
}

Result<void> send_all(int fd, std::string_view bytes, AskClock::time_point until) {
    while (!bytes.empty()) {
        const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            auto ready = await_socket(fd, POLLOUT, until, "the request is not read");
            if (!ready) return ready;
        } else if (errno != EINTR) {
            return fail_errno(errno, "send the request");
        }
    }
    return {};
}

// Past the empty line that ends the head, which a 1xx is not yet; npos where it has not come.
std::size_t end_of_head(std::string_view text) {
    std::size_t begin = 0;
    while (true) {
        const std::size_t end = text.find("\r\n\r\n", begin);
        if (end == text.npos) return end;
        if (!text.substr(begin).starts_with("HTTP/1.1 1")) return end + 4;
        begin = end + 4;
    }
}

Result<std::string> receive_head(int fd, AskClock::time_point until) {
    std::string received;
    std::array<char, 16384> buffer{};
    while (received.size() <= edge::kHeadBytes) {
        const auto ready =
            await_socket(fd, POLLIN, until, "no answer within 100 s (the edge says 524 by then)");
        if (!ready) return std::unexpected(ready.error());
        const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (got < 0) return fail_errno(errno, "read the answer");
        if (got == 0)
            return fail(ErrorKind::closed,
                        "the server ended the connection without an answer (the edge says 520)");
        received.append(buffer.data(), static_cast<std::size_t>(got));
        const std::size_t end = end_of_head(received);
        if (end == std::string::npos) continue;
        received.resize(end);
        return received;
    }
    return fail(ErrorKind::too_large, "the head is longer than 128 KiB (the edge says 520)");
}

}  // namespace

Result<std::string> ask_head(const ListenAddress& address, const std::string& request) {
    const auto connected = connect_to(address);
    if (!connected) return std::unexpected(connected.error());
    const auto until = AskClock::now() + kAnswerTime;
    if (auto sent = send_all(connected->get(), request, until); !sent)
        return std::unexpected(std::move(sent.error()));
    return receive_head(connected->get(), until);
}

}  // namespace tidepool::cli
