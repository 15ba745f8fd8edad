// One client's connection over HTTP/2 (RFC 9113): many requests at a time, answered by the same
// handlers as those of HTTP/1.1.
#pragma once

#include "proxy/http/handler.h"
#include "proxy/http/http2_stream.h"
#include "proxy/http/server.h"
#include "proxy/loop/socket.h"
#include "proxy/loop/task.h"
#include "proxy/tls/session.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct nghttp2_session;

namespace tidepool::http {

// nghttp2 knows frames, header compression, windows and the order of answers; it is told what has
// come and asked what is to be sent, by one coroutine, run(). Answers that need a wait have a
// coroutine each. Nothing is resumed from within nghttp2's callbacks: they note what is to be done.
class Http2Connection {
  public:
    // After a handshake that chose "h2". All outlive this; `peer` may change meanwhile.
    Http2Connection(Server& server, loop::Socket& socket, tls::Session& tls, const Peer& peer);
    ~Http2Connection();
    Http2Connection(const Http2Connection&) = delete;
    Http2Connection& operator=(const Http2Connection&) = delete;

    // The whole life: returns when nothing more will be sent and no coroutine is left.
    loop::Task<> run();

    // No new requests, but for those on their way; those that there are will be answered.
    void begin_drain();
    // The same at once: what is on its way has to be sent again over another connection.
    void end_soon();

    // After run(): the peer closed its side or is gone, so that there is nobody to linger for.
    bool has_peer_ended() const { return has_peer_ended_; }

  private:
    friend class Http2Body;
    struct Callbacks;
    // What there is to do after a turn.
    enum class Turn : std::uint8_t { wait, again, ended };

    bool begin();
    Turn take_turn();
    void wake();
    bool read_some();
    bool may_read() const;
    void dispatch();
    void admit(Http2Stream& stream);
    void take_request(Http2Stream& stream);
    void start(Http2Stream& stream, loop::Task<> task);
    void leave(Http2Stream& stream);
    loop::Task<> answer(Http2Stream& stream, loop::Task<Response> made);
    loop::Task<Response> respond_to_body(Http2Stream& stream);
    loop::Task<> fill(Http2Stream& stream);
    void allow_body(Http2Stream& stream);
    void consume(Http2Stream& stream, std::size_t bytes);
    bool widen(Http2Stream& stream);
    void narrow() { --wide_bodies_; }
    void count_head(Http2Stream& stream);
    int drop(Http2Stream& stream, std::size_t bytes);
    void refuse_rest(Http2Stream& stream);
    Response refuse(Refusal refusal, const RequestHead* head);

    void give(Http2Stream& stream, Response response);
    bool hold_body(Http2Stream& stream);
    void tell_held();
    std::uint64_t window_of(const Http2Stream& stream) const;
    void drop_chunks();
    void submit(Http2Stream& stream);
    void report(const Http2Stream& stream);

    bool push();
    bool has_room();
    bool seal();

    void hold(Http2Stream& stream, std::vector<Http2Stream*>& list);
    void release(Http2Stream& stream);
    void close(Http2Stream& stream);
    void end_all();
    struct AllDone;

    void set_deadline();
    bool keep_time();
    void begin_window();
    bool judge_readers();
    bool waits_for_peer(const Http2Stream& stream) const;
    std::int64_t bytes_taken() const;
    bool is_flooding() const;
    void count_broken_off();
    void terminate(std::uint32_t error);

    Server& server_;
    loop::Socket& socket_;
    tls::Session& tls_;
    const Peer& peer_;
    nghttp2_session* session_ = nullptr;

    Http2Stream* first_ = nullptr;
    std::size_t streams_ = 0;     // in the list
    std::size_t open_ = 0;        // of these, not closed
    std::size_t tasks_ = 0;       // coroutines
    std::size_t head_bytes_ = 0;  // of the requests in the list
    unsigned wide_bodies_ = 0;    // see widen()
    unsigned held_ = 0;           // answers that hold what their bodies are made of
    unsigned told_ = 0;           // of these, beyond the first, as far as the others know
    std::int32_t last_id_ = -1;
    std::vector<std::int32_t> passed_over_;  // smaller numbers that no stream has had
    std::coroutine_handle<> end_waiter_;     // for the last coroutine

    // Noted by callbacks, each held.
    std::vector<Http2Stream*> came_;     // requests whose head is here
    std::vector<Http2Stream*> woken_;    // their bodies have more, or are over
    std::vector<Http2Stream*> starved_;  // their answers wait for more
    // By the coroutines that fetch: each held, once. May have a chunk of a file that waits.
    std::vector<Http2Stream*> filled_;

    // Sending.
    std::string out_;  // frames, not sealed yet
    std::uint64_t bytes_out_ = 0;
    std::size_t sealed_in_turn_ = 0;
    bool is_blocked_ = false;  // the socket takes no more
    bool is_paused_ = false;   // others have their turn
    bool has_failed_ = false;  // the peer is gone

    // The connection.
    bool is_ended_ = false;  // run() takes no more turns
    bool has_peer_ended_ = false;
    bool closes_unanswered_ = false;  // see Admission::Entry::close
    bool is_in_turn_ = false;
    bool is_broken_ = false;             // what came is no HTTP/2
    bool is_terminated_ = false;         // GOAWAY was said, and that it ends now
    bool is_goaway_final_ = false;       // the second one was said
    std::uint64_t idle_until_ms_ = 0;    // while no stream is open
    std::uint64_t head_until_ms_ = 0;    // of a request that has begun; 0: none has
    std::uint64_t goaway_at_ms_ = 0;     // when the second, final one is due; 0: it is not draining
    std::uint64_t window_until_ms_ = 0;  // over which readers are judged
    std::int64_t taken_before_window_ = 0;
    bool was_blocked_ = false;  // when the window began
    // What came, and of that what was to some purpose.
    std::uint64_t bytes_in_ = 0;
    std::uint64_t useful_bytes_ = 0;
    std::uint64_t broken_off_ = 0;  // requests, of late
    std::uint64_t broken_off_ms_ = 0;
};

}  // namespace tidepool::http
