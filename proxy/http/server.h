// The HTTP server of one loop: what it listens on, the connections it has, and how they end.
#pragma once

#include "conf/settings.h"
#include "proxy/http/connection_counts.h"
#include "proxy/http/counters.h"
#include "proxy/http/handler.h"
#include "proxy/http/read_buffer.h"
#include "proxy/loop/loop.h"
#include "proxy/tls/context.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

namespace tidepool::http {

class Connection;

// The end of every head: Date, which changes once a second, and Connection.
class HeadTail {
  public:
    enum class Kind : std::uint8_t { keep_alive, keep_alive_1_0, close };
    const std::string& text(Kind kind, std::int64_t now_s);
    // The value of Date alone.
    const std::string& date(std::int64_t now_s);

  private:
    std::int64_t second_ = -1;
    std::string date_;
    std::array<std::string, 3> texts_;
};

inline std::uint64_t count_ms(conf::Milliseconds time) {
    return static_cast<std::uint64_t>(time.count());
}

// One per loop and kind of listener (public, admin). Loop thread only. It must outlive its
// connections: the loop runs until they are gone.
class Server {
  public:
    // What a reload may change.
    struct Rules {
        conf::LimitSettings limits;
        conf::TimeoutSettings timeouts;
        std::vector<conf::Cidr> trusted;
        std::shared_ptr<const tls::Context> tls;  // of connections that begin; null: none do
    };

    Server(loop::Loop& loop, Handler& handler, ConnectionCounts& counts, Rules rules);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    enum class Transport : std::uint8_t { plain, tls };
    // Accepts from a bound, listening, non-blocking socket, which it takes. `name`: Peer::listener.
    void listen_on(int fd, Transport transport, const std::string& name);

    // Stops accepting: takes what the kernel has already accepted, then closes the listeners. Every
    // connection ends with its next answer; one that has nothing to say ends after `idle_ms`.
    void drain(std::uint64_t idle_ms);
    // Ends every connection now, whatever it is doing.
    void abort_all();

    // Connections that there are obey them too.
    void change_rules(Rules rules);
    std::size_t connections() const { return connection_count_; }
    const Counters& counters() const { return counters_; }

  private:
    friend class Connection;
    friend class Http2Body;
    friend class Http2Connection;
    struct Listener;

    bool accept_some(const Listener& listener);
    void admit(int fd, const sockaddr_storage& address, const Listener& listener);
    Peer identify(const sockaddr_storage& address) const;
    bool is_trusted(const Peer& peer) const;
    static unsigned share_of(unsigned limit, const Peer& peer);
    loop::Task<> serve(std::unique_ptr<Connection> connection);
    void report(const Exchange& exchange);

    loop::Loop& loop_;
    Handler& handler_;
    ConnectionCounts& counts_;
    Rules rules_;
    Counters counters_;
    HeadTail tail_;
    BlockPool blocks_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::deque<std::string> listener_names_;  // all that there have been, as peers point to them
    Connection* first_ = nullptr;
    std::size_t connection_count_ = 0;
    bool accept_fails_ = false;  // since the last connection
    bool draining_ = false;
    std::uint64_t drain_idle_ms_ = 0;
};

}  // namespace tidepool::http
