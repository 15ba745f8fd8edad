// An HTTP server that says what it is told to, byte for byte.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::test {

// Answers requests on loopback, one thread a connection. A script is run for each request and says
// what goes out; it may wait for anything but the stub's own end.
class StubOrigin {
  public:
    struct Request {
        std::string head;        // up to the empty line
        std::size_t number = 0;  // of all requests, from 0
        std::size_t connection = 0;

        // The value of a field, "" where there is none; the name in any case.
        std::string field(std::string_view name) const {
            const auto lower = [](std::string text) {
                std::ranges::transform(text, text.begin(), [](unsigned char c) {
                    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
                });
                return text;
            };
            const std::string wanted = "\r\n" + lower(std::string(name)) + ": ";
            const std::size_t found = lower(head).find(wanted);
            if (found == head.npos) return "";
            const std::size_t start = found + wanted.size();
            return head.substr(start, head.find("\r\n", start) - start);
        }
        std::string target() const {
            const std::size_t start = head.find(' ') + 1;
            return head.substr(start, head.find(' ', start) - start);
        }
    };

    // One request's connection.
    class Line {
      public:
        // Waits until the peer takes it, or is gone, or the stub ends: then false.
        bool say(std::string_view bytes) {
            while (!bytes.empty()) {
                if (!origin_.wait_for(fd_, POLLOUT)) return false;
                const ssize_t sent =
                    send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
                if (sent < 0) return false;
                origin_.bytes_said_ += static_cast<std::size_t>(sent);
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            }
            return true;
        }
        // Ends the connection: by FIN, or as a machine that crashed does.
        void cut() { shutdown(fd_, SHUT_RDWR); }
        void reset() {
            const linger now{.l_onoff = 1, .l_linger = 0};
            setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            is_reset_ = true;
        }
        // Says nothing more until the peer ends the connection, or the stub does.
        void hang() {
            std::array<char, 256> ignored{};
            while (origin_.wait_for(fd_, POLLIN) &&
                   recv(fd_, ignored.data(), ignored.size(), MSG_DONTWAIT) > 0) {
            }
        }

      private:
        friend class StubOrigin;
        Line(StubOrigin& origin, int fd) : origin_(origin), fd_(fd) {}
        StubOrigin& origin_;
        int fd_;
        bool is_reset_ = false;
    };
    using Script = std::function<void(const Request& request, Line& line)>;

    explicit StubOrigin(Script script)
        : script_(std::move(script)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const sockaddr_in any = loopback(0);
        sockaddr_in bound{};
        socklen_t length = sizeof bound;
        REQUIRE(bind(listener_, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
        REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &length) == 0);
        REQUIRE(listen(listener_, 512) == 0);
        port_ = ntohs(bound.sin_port);
        accepting_ = std::thread([this] { accept_all(); });
    }
    // Always the same answer.
    explicit StubOrigin(std::string answer)
        : StubOrigin(
              [answer = std::move(answer)](const Request&, Line& line) { line.say(answer); }) {}
    ~StubOrigin() {
        const std::uint64_t one = 1;
        if (write(end_, &one, sizeof one) != sizeof one) std::abort();
        accepting_.join();
        for (std::thread& each : connections_)
            each.join();
        close(listener_);
        close(end_);
    }
    StubOrigin(const StubOrigin&) = delete;
    StubOrigin& operator=(const StubOrigin&) = delete;

    std::string url(std::string_view target = "/") const {
        return fmt::format("http://127.0.0.1:{}{}", port_, target);
    }
    std::uint16_t port() const { return port_; }

    std::vector<Request> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    std::size_t request_count() const { return requests().size(); }
    std::size_t connection_count() const { return connection_count_.load(); }
    // The most that were open at once.
    std::size_t most_connections() const { return most_open_.load(); }
    // Of all answers; the kernel has taken them.
    std::size_t bytes_said() const { return bytes_said_.load(); }

  private:
    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }

    // False: the stub ends, or the peer is gone.
    bool wait_for(int fd, short events) const {
        std::array<pollfd, 2> wanted{{{fd, events, 0}, {end_, POLLIN, 0}}};
        while (poll(wanted.data(), wanted.size(), -1) < 0) {
            if (errno != EINTR) return false;
        }
        return wanted[1].revents == 0 && (wanted[0].revents & (POLLERR | POLLNVAL)) == 0;
    }

    void accept_all() {
        while (wait_for(listener_, POLLIN)) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) continue;
            // Little, so that a peer that does not read is soon felt.
            const int bytes = 256 * 1024;
            const int yes = 1;
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            const std::size_t number = connection_count_++;
            connections_.emplace_back([this, fd, number] { serve(fd, number); });
        }
    }

    void serve(int fd, std::size_t connection) {
        const std::size_t open = ++open_;
        std::size_t most = most_open_.load();
        while (most < open && !most_open_.compare_exchange_weak(most, open)) {
        }
        std::string held;
        bool goes_on = true;
        while (goes_on) {
            const std::size_t end = held.find("\r\n\r\n");
            if (end == held.npos) {
                std::array<char, 4096> buffer{};
                const ssize_t got =
                    wait_for(fd, POLLIN) ? recv(fd, buffer.data(), buffer.size(), 0) : 0;
                goes_on = got > 0;
                if (goes_on) held.append(buffer.data(), static_cast<std::size_t>(got));
                continue;
            }
            Request request{.head = held.substr(0, end + 2), .connection = connection};
            held.erase(0, end + 4);
            {
                const std::lock_guard lock(mutex_);
                request.number = requests_.size();
                requests_.push_back(request);
            }
            Line line(*this, fd);
            script_(request, line);
            goes_on = !line.is_reset_;
        }
        --open_;
        close(fd);
    }

    Script script_;
    int listener_;
    int end_ = eventfd(0, EFD_CLOEXEC);
    std::uint16_t port_ = 0;
    std::thread accepting_;
    std::vector<std::thread> connections_;  // of the accepting thread, until that has ended
    std::atomic<std::size_t> connection_count_ = 0;
    std::atomic<std::size_t> open_ = 0;
    std::atomic<std::size_t> most_open_ = 0;
    std::atomic<std::size_t> bytes_said_ = 0;
    mutable std::mutex mutex_;
    std::vector<Request> requests_;
};

// "HTTP/1.1 200 OK" and so on, with Content-Length.
inline std::string answer(int status, std::string_view body, std::string_view fields = {}) {
    return fmt::format("HTTP/1.1 {} x\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(),
                       fields, body);
}

// Bytes of which no two parts are alike.
inline std::string pattern(std::size_t bytes) {
    std::string text(bytes, '\0');
    std::uint32_t state = 12345;
    for (char& each : text) {
        state = state * 1664525 + 1013904223;
        each = static_cast<char>(state >> 24);
    }
    return text;
}

}  // namespace tidepool::test
