// TLS over one connection's socket, as the server (RFC 8446, RFC 5246).
#pragma once

#include "conf/digest.h"
#include "proxy/tls/context.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::tls {

// What became of a call.
enum class Step : std::uint8_t {
    done,
    want_read,   // nothing more has come: wait until the socket can be read
    want_write,  // the socket takes no more: wait until it can be written
    closed,      // the peer said that it is done, or is gone
    failed,      // what came is no TLS that we speak
};

// Never waits. Encrypted bytes that the socket did not take are held here, up to kMostUnsent and
// what one write adds to it. Belongs to the thread of its connection's loop.
class Session {
  public:
    // `fd` is the connection's, non-blocking, and stays its own. Null: no memory.
    static std::unique_ptr<Session> begin(std::shared_ptr<const Context> context, int fd);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // To be called until it is done, closed or failed. One call may cost a signature: half a
    // millisecond with RSA of 2048 bits, a twentieth of that with ECDSA of P-256.
    Step handshake();
    // After a handshake that failed: why, for the log.
    const std::string& problem() const { return problem_; }
    bool is_tls13() const;
    // It was agreed on with the handshake (ALPN); else it is HTTP/1.1.
    bool speaks_http2() const;
    // By a ticket.
    bool is_resumed() const;
    // Whether the client's certificate, or that it has none, can be held against what `now` allows.
    // A ticket does not keep the chain that was shown, only what was found of it.
    bool can_be_judged_by(const Context& now) const;
    // It has shown a certificate that `now` allows, which may have taken the place of the context
    // that it began with. Costs a third of a millisecond where that allows other clients than the
    // last that was asked about.
    bool is_client_proven_by(const Context& now);

    struct Got {
        std::size_t bytes = 0;
        Step step = Step::done;  // why there are no more; done: there was no more room
    };
    // As much of what has come as there is room for; a failure only once all before it was given.
    Got read(std::span<char> into);

    // Takes all of `text`, or nothing where it wants to write first. What is taken may not have
    // left before flush().
    Step write(std::string_view text);
    Step flush();
    // Of what was taken, sealed; the socket has not had it.
    std::size_t unsent() const { return unsent_.size() - sent_; }
    // Says that there will be no more (RFC 8446, 6.1), which leaves with the next flush().
    void say_end();

    static constexpr std::size_t kMostUnsent = 64ULL * 1024;

  private:
    friend struct SessionBio;

    Session(std::shared_ptr<const Context> context, Handle<SSL> ssl, int fd)
        : context_(std::move(context)), ssl_(std::move(ssl)), fd_(fd) {}
    Step step_after(int result);
    void hold(std::string_view text);

    std::shared_ptr<const Context> context_;
    Handle<SSL> ssl_;
    int fd_;
    std::optional<conf::Sha256Digest> judged_by_;  // Context::clients()
    bool is_client_proven_ = false;                // by that
    bool is_gone_ = false;                         // the peer, or the connection
    bool has_shaken_hands_ = false;
    std::string_view abuse_;      // what of the peer's ends this; "": nothing
    unsigned empty_records_ = 0;  // in a row
    std::vector<char> unsent_;    // from `sent_` on
    std::size_t sent_ = 0;
    std::string problem_;
};

}  // namespace tidepool::tls
