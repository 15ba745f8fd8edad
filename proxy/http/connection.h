// One client's connection: reads a request, has it answered, sends the answer, and again.
#pragma once

#include "proxy/http/handler.h"
#include "proxy/http/read_buffer.h"
#include "proxy/http/request.h"
#include "proxy/http/response_writer.h"
#include "proxy/http/server.h"
#include "proxy/loop/socket.h"
#include "proxy/tls/session.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tidepool::http {

class Http2Connection;

// Belongs to one Server and its loop. run() is the whole life; the object goes when it has
// returned.
class Connection {
  public:
    // `refusal`: the one answer this connection will get. `tls`: over `fd`, or null.
    Connection(Server& server, int fd, const Peer& peer, std::optional<Refusal> refusal,
               std::unique_ptr<tls::Session> tls);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    loop::Task<> run();

    // The next answer is the last; without a request the connection ends soon.
    void begin_drain();
    // Ends what is being waited for; the peer sees a reset.
    void abort();

    const Peer& peer() const { return peer_; }
    void change_trust(bool trusted) { peer_.trusted = trusted; }
    // Ends soon where what the client has shown cannot be judged by that, so that its next
    // connection shows it again. All others are judged with their next request: many at once would
    // hold up the loop.
    void change_tls(const tls::Context& now);
    Connection* next() const { return next_; }

  private:
    class IncomingBody;
    enum class Input : std::uint8_t { incomplete, request, refused, ended };

    loop::Task<bool> shake_hands();
    loop::Task<> run_http2();
    Input begin_request();
    Input take_input(loop::Wake wake);
    Input scan();
    loop::Socket::Wait more_input();
    std::span<char> room();
    loop::Wake read_more();
    loop::Wake read_plain();
    loop::Wake read_sealed();
    loop::Task<std::optional<Refusal>> drop_body();
    loop::Task<std::optional<Refusal>> take_body(std::uint64_t limit);
    enum class BodyStep : std::uint8_t { complete, ended, malformed, timed_out, too_large };
    loop::Task<BodyStep> read_body(std::string* content, std::uint64_t limit);

    bool let_in(Input input);
    std::optional<Response> answer_now(Input input);
    loop::Task<Response> answer();
    loop::Task<Response> answer_stream();
    void allow_body();
    Response refuse(Refusal refusal, const RequestHead* head);
    Response settle(Response response);

    void begin_sending(const Response& response);
    loop::Task<> finish_sending(ResponseWriter::Step step);
    loop::Task<bool> fill_chunk();
    loop::Task<bool> wait_writable();
    loop::Task<> linger();

    void wait_for_request();
    void limit_head_time();
    void keep_head_apart();
    std::int64_t bytes_taken() const;
    bool reader_is_too_slow();
    void break_off();
    void report(const Response& response);

    Server& server_;
    loop::Socket socket_;
    std::unique_ptr<tls::Session> tls_;
    Http2Connection* http2_ = nullptr;  // while it speaks that
    Peer peer_;
    ReadBuffer buffer_;
    HeadScanner scanner_;
    RequestHead head_;
    std::string apart_;  // the head of a request whose body passes through buffer_
    std::string body_;   // of a request whose handler wants it
    std::optional<Refusal> refusal_;
    Connection* next_ = nullptr;
    Connection** link_ = nullptr;

    // Of the connection.
    bool keep_alive_ = true;
    bool idle_ = false;  // waiting for a request's first byte
    bool answered_one_ = false;
    bool peer_ended_ = false;    // the peer closed its side, or the connection failed
    bool unread_input_ = false;  // bytes were sent to us that nobody will read
    bool sent_whole_ = true;

    // Of the current request.
    std::size_t request_bytes_ = 0;  // at the front of buffer_
    std::uint64_t started_ns_ = 0;
    std::uint64_t first_byte_ns_ = 0;

    // Of the current answer.
    ResponseWriter writer_;
    std::int64_t taken_before_window_ = 0;  // for min_send_rate
    bool window_open_ = false;
};

}  // namespace tidepool::http
