// A connection that we made: bytes in and out, through TLS or not.
#pragma once

#include "conf/error.h"
#include "proxy/loop/socket.h"
#include "proxy/loop/task.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

namespace tidepool::loop {

// What the TLS connections of a loop share: that they speak 1.2 or 1.3, and whom they trust, which
// are the authorities that the system trusts. Loop thread only; outlives its streams.
class TlsContext {
  public:
    TlsContext() = default;
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    // Reads whom the system trusts, which the first connection does otherwise. Where that is one
    // file (SSL_CERT_FILE) it takes some 50 ms; from a folder those are read that are met.
    void prepare();

  private:
    friend class Stream;
    ssl_ctx_st* context_ = nullptr;  // once it is prepared
};

// What a peer gave to go on with by a shorter handshake.
class TlsSession {
  public:
    TlsSession() = default;
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

  private:
    friend class Stream;
    ssl_session_st* session_ = nullptr;
};

// How a try to read or write ended.
enum class Step : std::uint8_t { done, must_wait, ended, failed };

// One coroutine at a time reads, writes or waits. Loop thread only.
class Stream {
  public:
    // Takes `fd`, which is non-blocking and connected.
    Stream(Loop& loop, int fd) : socket_(loop, fd) {}
    // Ends TLS without a word, as HTTP does not need one.
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Begins TLS, with the peer that `host` names (a name or an address), once and before anything
    // else. ErrorKind::misconfigured where its certificate is not good, timed_out, closed, io.
    // `session` is of an earlier connection to it, or empty.
    Task<std::optional<Error>> secure(TlsContext& context, const std::string& host,
                                      const TlsSession& session);
    // Keeps what the peer gave to go on with. Best when something was read.
    void save_session(TlsSession& session) const;

    // As much as there is now, at most `room`, which must not be empty. `got` is set with
    // Step::done. The step after must_wait is wait().
    Step read(std::span<char> room, std::size_t& got);
    Step write(std::string_view bytes, std::size_t& sent);
    // True where a read would have to wait, as far as is known without asking.
    bool must_wait() {
        if (tls_ != nullptr || socket_.may_be_readable()) return false;
        waits_to_write_ = false;
        return true;
    }
    // Until the step that had to wait may be tried again.
    Socket::Wait wait();
    // Why a step failed.
    Error error() const { return error_; }

    // No data and no end has come since the last read: it can be used for another request. Before
    // a request is written, after all of the last one's answer was read.
    bool is_quiet();

    // What has come and was not read, as far as it is in the kernel.
    std::size_t unread_bytes() const;

    // As those of Socket.
    void set_deadline(std::uint64_t at_ms) { socket_.set_deadline(at_ms); }
    void close_waits() { socket_.close_waits(); }

  private:
    Step judge_tls(int result);

    Socket socket_;
    ssl_st* tls_ = nullptr;
    bool waits_to_write_ = false;
    Error error_{};
};

}  // namespace tidepool::loop
