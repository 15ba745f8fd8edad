// What the fetches of a loop share: connections to origins, and whose turn it is.
#pragma once

#include "proxy/loop/connector.h"
#include "proxy/loop/lookup.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/stream.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::http {

class Fetch;

// Where a URL leads to.
struct UrlParts {
    std::string_view origin;     // "https://host:8443", as it is written
    std::string_view authority;  // "host:8443"
    std::string host;            // without brackets
    std::uint16_t port = 0;
    bool is_secure = false;
    std::string_view target;  // "/path?query", at least "/"
};

// Nothing where it is not an http or https URL that can be asked for: with a user, without a host,
// with spaces or control characters. Views are of `url`.
std::optional<UrlParts> parse_url(std::string_view url);

// Loop thread only; outlives its fetches.
class Fetcher {
  public:
    // At most so many connections to one origin; further requests wait for one, in order.
    Fetcher(loop::Loop& loop, unsigned connections_per_host);
    ~Fetcher();
    Fetcher(const Fetcher&) = delete;
    Fetcher& operator=(const Fetcher&) = delete;

    // For origins over TLS, of which the first would have to wait for it.
    void prepare_tls() { tls_.prepare(); }

  private:
    friend class Fetch;

    // How long a look-up is believed. getaddrinfo(3) does not say how long it may be.
    static constexpr std::uint64_t kAddressesMs = 60'000;

    // A connection that waits for the next request.
    struct Idle {
        std::unique_ptr<loop::Stream> stream;
        std::uint64_t since_ms = 0;
    };
    struct Origin {
        std::string host;
        std::uint16_t port = 0;
        bool is_secure = false;
        unsigned running = 0;                        // fetches that have a connection, or make one
        std::deque<Fetch*> waiting;                  // for one of these to end
        std::vector<Idle> idle;                      // the longest idle first
        std::vector<loop::SocketAddress> addresses;  // of the last look-up
        std::uint64_t addresses_until_ms = 0;
        loop::TlsSession session;
    };

    Origin& origin_of(const UrlParts& url);
    std::unique_ptr<loop::Stream> take_idle(Origin& origin);
    void make_room(Origin& origin);
    void keep(Origin& origin, std::unique_ptr<loop::Stream> stream);
    void sweep();

    loop::Loop& loop_;
    const unsigned connections_per_host_;
    std::map<std::string, Origin, std::less<>> origins_;  // as many as settings name
    std::vector<char> scratch_;  // what a read brings, until it is taken apart
    loop::TlsContext tls_;
    loop::Deadline sweep_;
};

}  // namespace tidepool::http
