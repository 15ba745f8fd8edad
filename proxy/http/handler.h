// What the HTTP server asks of whoever answers.
#pragma once

#include "conf/cidr.h"
#include "proxy/http/refusal.h"
#include "proxy/http/request.h"
#include "proxy/http/response.h"
#include "proxy/loop/task.h"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::http {

// The other end of a connection.
struct Peer {
    conf::IpAddress address;
    bool is_unix = false;          // a unix socket: there is no address
    bool trusted = false;          // in edge.trusted_ranges
    std::string_view listener;     // the address it came to, as configured; outlives the connection
    bool has_certificate = false;  // showed one over TLS that edge.client_ca_files allow now
    // Of the current request: nothing is missing by which it is to prove where it comes from. See
    // Handler::let_in().
    bool proven = true;
    // Whether what the head says of the client may be believed.
    bool is_believed() const { return trusted && proven; }
    // The address, or "unix".
    std::string text() const { return is_unix ? "unix" : address.text(); }
};

// What becomes of a request before anything else is done for it.
struct Admission {
    enum class Entry : std::uint8_t {
        open,
        forbid,  // Refusal::locked_out
        close,   // the connection ends without an answer
    };
    Entry entry = Entry::open;
    bool proven = true;  // Peer::proven from here on
};

// One answered request, told to the handler once it is over.
struct Exchange {
    const RequestHead& head;  // of a refused request only what could be read
    const Peer& peer;
    int status = 0;
    Source source = Source::none;
    std::uint64_t body_bytes_sent = 0;
    std::uint64_t first_byte_us = 0;  // from the request's first byte to the answer's
    std::uint64_t total_us = 0;
    bool whole = true;  // false: the connection broke or was cut before the answer's end
};

// The body of a request, taken as it comes. What is not asked for is not read, so that who takes it
// slowly holds its sender back.
class BodyStream {
  public:
    virtual ~BodyStream() = default;
    // Waits for more. Nothing is the body's end; after that, or a refusal, it is not called again.
    // Valid until the next call.
    virtual loop::Task<std::expected<std::string_view, Refusal>> next() = 0;
};

// One per loop; called on that loop only.
class Handler {
  public:
    virtual ~Handler() = default;
    // Whether a connection is closed as soon as it is accepted.
    virtual bool shuts_out(const Peer&) { return false; }
    // Whether a request comes in; asked of each before anything else, and before its body is read.
    // Without a head: of one whose head could not be read, and which will be refused for that.
    virtual Admission let_in(const RequestHead*, const Peer&) { return {}; }
    // How many bytes of a body this request may bring along; a longer one is refused
    // (Refusal::body_too_large). 0: it wants none, and one that comes is dropped.
    virtual std::uint64_t wanted_body(const RequestHead&) const { return 0; }
    // True: this request's body is taken as it comes, by respond_to_stream().
    virtual bool wants_stream(const RequestHead&) const { return false; }
    // Answers before the body's end where it will not take the rest: then the connection ends after
    // it. Head and body live until the task ends.
    virtual loop::Task<Response> respond_to_stream(const RequestHead& head, const Peer&,
                                                   BodyStream&) {
        co_return refuse(Refusal::body_not_allowed, &head);
    }
    // Answers a request that is here as a whole; nothing where that needs a wait.
    virtual std::optional<Response> respond_now(const RequestHead& head, const Peer& peer) = 0;
    // Answers what respond_now() could not. The head lives until the task ends.
    virtual loop::Task<Response> respond(const RequestHead& head, const Peer& peer) = 0;
    // The answer for a request that was turned away. `head` is null where it could not be read, or
    // must not matter.
    virtual Response refuse(Refusal refusal, const RequestHead* head) = 0;
    virtual void finished(const Exchange& exchange) = 0;
};

}  // namespace tidepool::http
