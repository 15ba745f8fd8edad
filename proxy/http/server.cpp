#include "proxy/http/server.h"

#include "conf/log.h"
#include "proxy/http/connection.h"
#include "proxy/http/date.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace tidepool::http {

namespace {

// Connections taken per wake-up before others get their turn.
constexpr int kAcceptBatch = 64;
// More than a queue holds (server.backlog), so that only a flood is not taken to its end.
constexpr int kLastBatches = 65536 / kAcceptBatch;
// How long nothing is accepted after the process ran out of descriptors or memory.
constexpr std::uint64_t kAcceptPauseMs = 200;
// How many connections above a limit are still read, to be told so; further ones are closed without
// a word.
unsigned refusal_margin(unsigned limit) {
    return std::clamp(limit / 8, 16U, 256U);
}

}  // namespace

const std::string& HeadTail::date(std::int64_t now_s) {
    if (now_s != second_) {
        second_ = now_s;
        date_ = format_date(second_);
        const std::string line = "Date: " + date_ + "\r\n";
        texts_ = {line + "\r\n", line + "Connection: keep-alive\r\n\r\n",
                  line + "Connection: close\r\n\r\n"};
    }
    return date_;
}

const std::string& HeadTail::text(Kind kind, std::int64_t now_s) {
    date(now_s);
    return texts_[static_cast<std::size_t>(kind)];
}

struct Server::Listener final : loop::Watcher {
    Server& server;
    int fd;
    Transport transport;
    std::string_view name;
    bool paused = false;
    loop::Deadline pause_end;

    Listener(Server& owner, int descriptor, Transport over, std::string_view called)
        : server(owner),
          fd(descriptor),
          transport(over),
          name(called),
          pause_end(
              owner.loop_.wheel(), [](void* self) { static_cast<Listener*>(self)->watch(); },
              this) {
        watch();
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener() {
        if (!paused) server.loop_.unwatch(fd);  // a successor may have it too
        close(fd);
    }
    void watch() {
        paused = false;
        server.loop_.watch(fd, EPOLLIN, *this);  // level-triggered: see kAcceptBatch
    }
    // It would be ready again at once, and the loop would do nothing but ask.
    void pause() {
        paused = true;
        server.loop_.unwatch(fd);
        pause_end.set(server.loop_.now_ms() + kAcceptPauseMs);
    }
    void on_events(std::uint32_t) override {
        if (!server.accept_some(*this)) pause();
    }
};

Server::Server(loop::Loop& loop, Handler& handler, ConnectionCounts& counts, Rules rules)
    : loop_(loop), handler_(handler), counts_(counts), rules_(std::move(rules)) {}

Server::~Server() = default;

void Server::listen_on(int fd, Transport transport, const std::string& name) {
    listeners_.push_back(
        std::make_unique<Listener>(*this, fd, transport, listener_names_.emplace_back(name)));
}

// False: out of descriptors or memory. Those who wait stay in the kernel's queue.
bool Server::accept_some(const Listener& listener) {
    for (int i = 0; i < kAcceptBatch; ++i) {
        sockaddr_storage address{};
        socklen_t length = sizeof address;
        const int fd = accept4(listener.fd, reinterpret_cast<sockaddr*>(&address), &length,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_fails_ = false;
            admit(fd, address, listener);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EAGAIN) return true;
        counters_.accept_errors.add();
        if (!std::exchange(accept_fails_, true)) {
            conf::log_warn("no connections are accepted, raise LimitNOFILE error=\"{}\"",
                           std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
        }
        return false;
    }
    return true;
}

Peer Server::identify(const sockaddr_storage& address) const {
    Peer peer;
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        peer.address.bytes[10] = peer.address.bytes[11] = 0xFF;
        std::memcpy(peer.address.bytes.data() + 12, &v4.sin_addr, 4);
    } else if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        std::memcpy(peer.address.bytes.data(), &v6.sin6_addr, 16);
    } else {
        peer.is_unix = true;
        return peer;
    }
    peer.trusted = is_trusted(peer);
    return peer;
}

bool Server::is_trusted(const Peer& peer) const {
    return !peer.is_unix && std::ranges::any_of(rules_.trusted, [&](const conf::Cidr& range) {
        return range.contains(peer.address);
    });
}

// What a peer may fill of what there is for all: a quarter is kept for the edge, as a flood of
// strangers costs its sender nothing.
unsigned Server::share_of(unsigned limit, const Peer& peer) {
    return peer.trusted || peer.is_unix ? limit : limit - limit / 4;
}

void Server::change_rules(Rules rules) {
    const bool has_other_ranges = rules.trusted != rules_.trusted;
    const bool has_other_tls = rules.tls != rules_.tls;
    rules_ = std::move(rules);
    if (has_other_tls && rules_.tls) {
        for (Connection* each = first_; each != nullptr; each = each->next())
            each->change_tls(*rules_.tls);
    }
    if (!has_other_ranges) return;
    for (Connection* connection = first_; connection != nullptr; connection = connection->next()) {
        const Peer before = connection->peer();
        const bool trusted = is_trusted(before);
        if (trusted == before.trusted) continue;
        connection->change_trust(trusted);
        counts_.enter(connection->peer());  // first, so that the last one is never missing
        counts_.leave(before);
    }
}

void Server::admit(int fd, const sockaddr_storage& address, const Listener& listener) {
    counters_.accepted.add();
    Peer peer = identify(address);
    peer.listener = listener.name;
    if (handler_.shuts_out(peer)) {
        counters_.closed.add();
        close(fd);
        return;
    }
    const unsigned of_peer = counts_.enter(peer);
    const conf::LimitSettings& limits = rules_.limits;
    const unsigned peer_limit =
        peer.trusted ? limits.connections_per_edge_peer : limits.connections_per_peer;
    const bool peer_is_over = !peer.is_unix && of_peer > peer_limit;
    // Who is told so over TLS would cost a handshake first, which is what a flood wants.
    const bool is_told = listener.transport == Transport::plain;
    const unsigned share = share_of(limits.connections, peer);
    unsigned margin = is_told ? refusal_margin(limits.connections) : 0;
    // Nor may who is told so fill what is kept.
    if (share < limits.connections) margin = std::min(margin, (limits.connections - share) / 2);
    const unsigned peer_margin = is_told ? refusal_margin(peer_limit) : 0;
    bool is_dropped =
        counts_.total() > share + margin || (peer_is_over && of_peer > peer_limit + peer_margin);
    std::unique_ptr<tls::Session> tls;
    if (!is_dropped && listener.transport == Transport::tls) {
        if (rules_.tls) tls = tls::Session::begin(rules_.tls, fd);
        is_dropped = tls == nullptr;
    }
    if (is_dropped) {
        counters_.dropped.add();
        counters_.closed.add();
        counts_.leave(peer);
        close(fd);
        return;
    }
    std::optional<Refusal> refusal;
    if (counts_.total() > share) refusal = Refusal::too_many_connections;
    if (peer_is_over) refusal = Refusal::too_many_connections_of_peer;
    loop_.tasks().spawn(
        serve(std::make_unique<Connection>(*this, fd, peer, refusal, std::move(tls))));
}

loop::Task<> Server::serve(std::unique_ptr<Connection> connection) {
    co_await connection->run();
    counters_.closed.add();
    counts_.leave(connection->peer());
}

// Of an answered request, once it is over.
void Server::report(const Exchange& exchange) {
    counters_
        .requests[static_cast<std::size_t>(exchange.status / 100)]
                 [static_cast<std::size_t>(exchange.source)]
        .add();
    counters_.count_latency(exchange.total_us);
    counters_.body_bytes.add(exchange.body_bytes_sent);
    if (!exchange.whole) counters_.broken_answers.add();
    handler_.finished(exchange);
}

void Server::drain(std::uint64_t idle_ms) {
    if (draining_) return;
    draining_ = true;
    drain_idle_ms_ = idle_ms;
    // Whoever is in the kernel's queue was promised a connection and would see it reset.
    for (const auto& listener : listeners_) {
        for (int i = 0; i < kLastBatches; ++i) {
            const std::uint64_t before = counters_.accepted.value();
            if (!accept_some(*listener) || counters_.accepted.value() == before) break;
        }
    }
    listeners_.clear();
    for (Connection* connection = first_; connection != nullptr; connection = connection->next()) {
        connection->begin_drain();
    }
}

void Server::abort_all() {
    for (Connection* connection = first_; connection != nullptr; connection = connection->next()) {
        connection->abort();
    }
}

}  // namespace tidepool::http
