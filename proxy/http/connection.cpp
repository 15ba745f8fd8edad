#include "proxy/http/connection.h"

#include "conf/log.h"
#include "proxy/http/body_reader.h"
#include "proxy/http/http2_connection.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::http {

namespace {

// What is read and dropped while the peer takes our last answer.
constexpr std::uint64_t kLingerBytes = 1024 * 1024;
// What is read of a streamed body at a time.
constexpr std::size_t kStreamBytes = 32ULL * 1024;
// Pipelined requests answered in a row before others get their turn.
constexpr unsigned kPipelineBatch = 32;

}  // namespace

Connection::Connection(Server& server, int fd, const Peer& peer, std::optional<Refusal> refusal,
                       std::unique_ptr<tls::Session> tls)
    : server_(server),
      socket_(server.loop_, fd),
      tls_(std::move(tls)),
      peer_(peer),
      buffer_(server.blocks_),
      refusal_(refusal),
      next_(server.first_),
      link_(&server.first_),
      writer_(fd, tls_.get()) {
    if (next_ != nullptr) next_->link_ = &next_;
    server.first_ = this;
    ++server.connection_count_;
}

Connection::~Connection() {
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    --server_.connection_count_;
}

loop::Task<> Connection::run() {
    if (tls_ && !co_await shake_hands()) co_return;
    if (tls_ && tls_->speaks_http2()) {
        co_await run_http2();
        co_return;
    }
    unsigned in_a_row = 0;
    while (true) {
        Input input = begin_request();
        while (input == Input::incomplete) {
            buffer_.release_if_empty();
            input = take_input(co_await more_input());
        }
        if (input == Input::ended) break;
        if (!let_in(input)) co_return;
        // What needs no wait is done without coroutines of its own: most answers come from memory.
        std::optional<Response> response = answer_now(input);
        if (!response) response = co_await answer();
        begin_sending(*response);
        ResponseWriter::Step step = writer_.push(server_.loop_.now_ms());
        if (step == ResponseWriter::Step::call) {
            co_await server_.loop_.make(writer_.call());
            step = writer_.called(server_.loop_.now_ms());
        }
        if (step != ResponseWriter::Step::done) co_await finish_sending(step);
        report(*response);
        buffer_.consume(request_bytes_);
        answered_one_ = true;
        if (!keep_alive_) break;
        if (buffer_.empty()) {
            in_a_row = 0;
        } else if (++in_a_row % kPipelineBatch == 0) {
            co_await server_.loop_.yield();
        }
    }
    if (tls_ && sent_whole_) {  // after the last answer it was said with that
        tls_->say_end();
        tls_->flush();
    }
    if (sent_whole_ && !peer_ended_ && (unread_input_ || !buffer_.empty())) co_await linger();
}

loop::Task<> Connection::run_http2() {
    Http2Connection connection(server_, socket_, *tls_, peer_);
    http2_ = &connection;
    co_await connection.run();
    http2_ = nullptr;
    if (connection.has_peer_ended()) co_return;
    tls_->say_end();
    tls_->flush();
    co_await linger();
}

// Each call of the session's may cost a signature, so many that come at once have turns of their
// own.
loop::Task<bool> Connection::shake_hands() {
    Counters& counters = server_.counters_;
    socket_.set_deadline(server_.loop_.now_ms() + count_ms(server_.rules_.timeouts.header));
    // Who has said nothing yet takes no turn.
    char first = 0;
    if (recv(socket_.fd(), &first, 1, MSG_PEEK) < 0 && errno == EAGAIN) socket_.not_readable();
    loop::Wake wake = co_await socket_.readable();
    while (wake == loop::Wake::ready) {
        co_await server_.loop_.stand_back();
        if (socket_.is_closing()) co_return false;
        switch (tls_->handshake()) {
            case tls::Step::done:
                counters.handshakes[tls_->is_tls13() ? 1 : 0][tls_->is_resumed() ? 1 : 0].add();
                if (tls_->can_be_judged_by(*server_.rules_.tls)) co_return true;
                tls_->say_end();  // a reload came in between: see change_tls()
                tls_->flush();
                co_await linger();
                co_return false;
            case tls::Step::want_read:
                socket_.not_readable();
                wake = co_await socket_.readable();
                break;
            case tls::Step::want_write:
                socket_.not_writable();
                wake = co_await socket_.writable();
                break;
            case tls::Step::closed:
                counters.handshakes_closed.add();
                co_return false;
            case tls::Step::failed:
                counters.handshakes_failed.add();
                conf::log_debug("no TLS peer={} reason=\"{}\"", peer_.text(), tls_->problem());
                co_await linger();  // else the alert, which says why, is lost
                co_return false;
        }
    }
    if (wake == loop::Wake::timed_out) counters.handshakes_timed_out.add();
    co_return false;
}

// ---- reading

void Connection::wait_for_request() {
    idle_ = true;
    const conf::TimeoutSettings& timeouts = server_.rules_.timeouts;
    std::uint64_t wait_ms = count_ms(peer_.trusted ? timeouts.idle_edge : timeouts.idle);
    if (!answered_one_) wait_ms = count_ms(timeouts.header);
    if (server_.draining_) wait_ms = std::min(wait_ms, server_.drain_idle_ms_);
    socket_.set_deadline(server_.loop_.now_ms() + wait_ms);
}

// The request has begun.
void Connection::limit_head_time() {
    started_ns_ = server_.loop_.now_ns();
    socket_.set_deadline(server_.loop_.now_ms() + count_ms(server_.rules_.timeouts.header));
}

Connection::Input Connection::begin_request() {
    scanner_.reset();
    head_.clear();
    if (buffer_.empty()) {
        wait_for_request();
        return Input::incomplete;
    }
    limit_head_time();
    return scan();
}

Connection::Input Connection::take_input(loop::Wake wake) {
    if (wake == loop::Wake::ready) wake = read_more();
    if (wake == loop::Wake::ready) return buffer_.empty() ? Input::incomplete : scan();
    if (wake == loop::Wake::timed_out && !buffer_.empty()) {
        refusal_ = Refusal::header_timeout;
        return Input::refused;
    }
    return Input::ended;
}

Connection::Input Connection::scan() {
    const HeadLimits limits{server_.rules_.limits.request_line_bytes,
                            server_.rules_.limits.header_bytes,
                            server_.rules_.limits.header_fields};
    switch (scanner_.scan(buffer_.view(), limits, head_)) {
        case HeadScanner::Outcome::complete:
            request_bytes_ = scanner_.head_bytes();
            return Input::request;
        case HeadScanner::Outcome::refused:
            refusal_ = scanner_.refusal();
            return Input::refused;
        case HeadScanner::Outcome::incomplete:
            break;
    }
    return Input::incomplete;
}

// Until something of a request can be read.
loop::Socket::Wait Connection::more_input() {
    if (tls_ || !server_.loop_.gathers()) return socket_.readable();
    return socket_.receivable(
        {[](void* self) { return static_cast<Connection*>(self)->room(); }, this});
}

std::span<char> Connection::room() {
    const ReadBuffer::Room room = buffer_.room();
    return {room.data, room.bytes};
}

// Adds what has come to the buffer. `ready`: there may be more, now or later.
loop::Wake Connection::read_more() {
    return tls_ ? read_sealed() : read_plain();
}

loop::Wake Connection::read_plain() {
    const std::span<char> into = room();
    std::optional<std::int64_t> got = socket_.take_received();
    if (!got) {
        iovec piece{into.data(), into.size()};
        loop::SocketCall call{.fd = socket_.fd(), .pieces = {&piece, 1}};
        loop::make_call(call);
        got = call.result;
    }
    if (*got > 0) {
        const auto bytes = static_cast<std::size_t>(*got);
        buffer_.wrote(bytes);
        if (bytes < into.size()) socket_.drained();
        if (std::exchange(idle_, false)) limit_head_time();
        return loop::Wake::ready;
    }
    if (*got == -EINTR) return loop::Wake::ready;
    if (*got == -EAGAIN) {
        socket_.not_readable();
        return loop::Wake::ready;
    }
    peer_ended_ = true;
    return loop::Wake::closed;
}

loop::Wake Connection::read_sealed() {
    const ReadBuffer::Room room = buffer_.room();
    const tls::Session::Got got = tls_->read({room.data, room.bytes});
    if (got.bytes > 0) {
        buffer_.wrote(got.bytes);
        if (std::exchange(idle_, false)) limit_head_time();
    }
    if (got.step == tls::Step::want_read) {
        socket_.not_readable();
    } else if (got.step != tls::Step::done && got.bytes == 0) {
        peer_ended_ = true;
        return loop::Wake::closed;
    }
    return loop::Wake::ready;
}

// Reads a body nobody wants, so that the next request can be found behind it. A chunked one is
// followed too, to tell broken framing from a mere mistake, but the connection ends after it: there
// is nothing to win from trusting it.
loop::Task<std::optional<Refusal>> Connection::drop_body() {
    if (head_.expects_continue || head_.content_length > server_.rules_.limits.discard_body_bytes) {
        keep_alive_ = false;
        unread_input_ = true;
        co_return std::nullopt;
    }
    if (head_.chunked) {
        keep_alive_ = false;
        unread_input_ = true;  // it may have sent more
    }
    const BodyStep step = co_await read_body(nullptr, server_.rules_.limits.discard_body_bytes);
    if (step == BodyStep::complete) co_return std::nullopt;
    keep_alive_ = false;
    if (step == BodyStep::malformed) co_return Refusal::bad_chunk;
    if (step == BodyStep::timed_out) co_return Refusal::body_timeout;
    if (step == BodyStep::too_large) unread_input_ = true;
    co_return std::nullopt;
}

// Reads a body that the handler wants.
loop::Task<std::optional<Refusal>> Connection::take_body(std::uint64_t limit) {
    if (head_.content_length > limit) co_return Refusal::body_too_large;
    if (buffer_.view().size() == request_bytes_) allow_body();
    // It may have sent more behind a chunked body; see drop_body().
    if (head_.chunked) {
        keep_alive_ = false;
        unread_input_ = true;
    }
    body_.clear();
    switch (co_await read_body(&body_, limit)) {
        case BodyStep::malformed:
            co_return Refusal::bad_chunk;
        case BodyStep::too_large:
            co_return Refusal::body_too_large;
        case BodyStep::timed_out:
            co_return Refusal::body_timeout;
        case BodyStep::ended:
            co_return head_.chunked ? Refusal::bad_chunk : Refusal::bad_content_length;
        case BodyStep::complete:
            break;
    }
    head_.body = body_;
    co_return std::nullopt;
}

// The peer may be waiting for this (RFC 9110, 10.1.1). Nothing else is in the socket's way.
void Connection::allow_body() {
    if (!head_.expects_continue || head_.minor_version == 0) return;
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    const bool is_sent =
        tls_ ? tls_->write(kContinue) == tls::Step::done && tls_->flush() != tls::Step::closed
             : send(socket_.fd(), kContinue.data(), kContinue.size(), MSG_NOSIGNAL) >= 0;
    if (!is_sent) keep_alive_ = false;  // it has gone, which reading will tell
}

// Takes the body of the current request out of the buffer. `limit`: of its content, or, where that
// is dropped, of all that comes.
loop::Task<Connection::BodyStep> Connection::read_body(std::string* content, std::uint64_t limit) {
    keep_head_apart();
    BodyReader body({head_.chunked, head_.content_length}, content);
    std::uint64_t passed = 0;
    while (true) {
        const std::size_t bytes = buffer_.view().size();
        const BodyReader::Outcome outcome = body.feed(buffer_.view());
        if (outcome == BodyReader::Outcome::malformed) co_return BodyStep::malformed;
        buffer_.consume(bytes - body.left_over());
        passed += bytes - body.left_over();
        const bool is_too_large =
            content != nullptr ? content->size() > limit
                               : outcome == BodyReader::Outcome::incomplete && passed > limit;
        if (is_too_large) co_return BodyStep::too_large;
        if (outcome == BodyReader::Outcome::complete) co_return BodyStep::complete;
        loop::Wake wake = co_await socket_.readable();
        if (wake == loop::Wake::ready) wake = read_more();
        if (wake == loop::Wake::timed_out) co_return BodyStep::timed_out;
        if (wake != loop::Wake::ready) co_return BodyStep::ended;
    }
}

// Moves the head out of the buffer, which its body is about to pass through.
void Connection::keep_head_apart() {
    apart_.assign(buffer_.view().substr(0, request_bytes_));
    buffer_.consume(std::exchange(request_bytes_, 0));
    HeadScanner().scan(
        apart_, {apart_.size(), apart_.size(), static_cast<unsigned>(head_.fields.size())}, head_);
}

// ---- answering

// False: the connection ends, without an answer or any more patience.
bool Connection::let_in(Input input) {
    if (tls_) {
        // It comes again, and shows what a reload wants to see: see change_tls().
        if (!tls_->can_be_judged_by(*server_.rules_.tls)) return false;
        peer_.has_certificate = tls_->is_client_proven_by(*server_.rules_.tls);
    }
    const Admission admission =
        server_.handler_.let_in(input == Input::request ? &head_ : nullptr, peer_);
    peer_.proven = admission.proven;
    if (admission.entry == Admission::Entry::open) return true;
    if (admission.entry == Admission::Entry::forbid) {
        refusal_ = Refusal::locked_out;
        return true;
    }
    // Nobody is told what else was wrong, but it is counted.
    if (refusal_) server_.counters_.refused[static_cast<std::size_t>(*refusal_)].add();
    return false;
}

// Nothing where something has to be waited for; answer() does that.
std::optional<Response> Connection::answer_now(Input input) {
    if (refusal_) return refuse(*refusal_, nullptr);
    if (input == Input::request && head_.has_body()) {
        if (head_.method == Method::other) return std::nullopt;
        return refuse(Refusal::body_not_allowed, &head_);
    }
    std::optional<Response> response = server_.handler_.respond_now(head_, peer_);
    if (response) return settle(std::move(*response));
    return response;
}

// The body of the current request, for a handler that takes it as it comes. One that is not chunked
// passes through without being copied.
class Connection::IncomingBody final : public BodyStream {
  public:
    explicit IncomingBody(Connection& connection)
        : connection_(connection), left_(connection.head_.content_length) {
        if (connection.head_.chunked) reader_.emplace(BodyFraming{.chunked = true}, &content_);
    }

    // Nobody takes more of it. True: all of it was taken, and what is in the buffer is the next
    // request.
    bool finish() {
        connection_.buffer_.consume(std::exchange(given_, 0));
        return has_ended_ || (!reader_ && left_ == 0);
    }

    loop::Task<std::expected<std::string_view, Refusal>> next() override {
        ReadBuffer& buffer = connection_.buffer_;
        if (!has_begun_) {
            has_begun_ = true;
            if (buffer.empty()) connection_.allow_body();
            buffer.widen(kStreamBytes);
        }
        buffer.consume(std::exchange(given_, 0));
        while (true) {
            if (reader_) {
                auto piece = take_chunked();
                if (!piece || !piece->empty() || has_ended_) co_return piece;
            } else if (left_ == 0) {
                has_ended_ = true;
                co_return std::string_view();
            } else if (!buffer.empty()) {
                given_ =
                    static_cast<std::size_t>(std::min<std::uint64_t>(left_, buffer.view().size()));
                left_ -= given_;
                co_return buffer.view().substr(0, given_);
            }
            if (const auto refused = co_await wait()) co_return std::unexpected(*refused);
        }
    }

  private:
    std::expected<std::string_view, Refusal> take_chunked() {
        ReadBuffer& buffer = connection_.buffer_;
        content_.clear();
        const std::size_t bytes = buffer.view().size();
        const BodyReader::Outcome outcome = reader_->feed(buffer.view());
        if (outcome == BodyReader::Outcome::malformed) return std::unexpected(Refusal::bad_chunk);
        buffer.consume(bytes - reader_->left_over());
        if (outcome == BodyReader::Outcome::complete) has_ended_ = true;
        in_window_ += content_.size();
        // The last chunk may bring content: the end is said with the next call.
        if (has_ended_ && !content_.empty()) reader_.reset();
        return std::string_view(content_);
    }

    loop::Task<std::optional<Refusal>> wait() {
        const std::size_t before = connection_.buffer_.view().size();
        loop::Loop& loop = connection_.server_.loop_;
        const std::uint64_t window_ms =
            count_ms(connection_.server_.rules_.timeouts.receive_window);
        while (true) {
            // What time we took ourselves since it was last read is not the sender's.
            const std::uint64_t since_ms = loop.now_ms();
            connection_.socket_.set_deadline(since_ms + window_ms -
                                             std::min(waited_ms_, window_ms));
            loop::Wake wake = co_await connection_.socket_.readable();
            waited_ms_ += loop.now_ms() - since_ms;
            if (wake == loop::Wake::timed_out) {
                if (is_too_slow()) co_return Refusal::body_timeout;
                waited_ms_ = in_window_ = 0;
                continue;
            }
            if (wake == loop::Wake::ready) {
                co_await loop.stand_back();
                wake =
                    connection_.socket_.is_closing() ? loop::Wake::closed : connection_.read_more();
            }
            if (wake != loop::Wake::ready) {
                co_return connection_.head_.chunked ? Refusal::bad_chunk
                                                    : Refusal::bad_content_length;
            }
            const std::size_t came = connection_.buffer_.view().size() - before;
            if (!connection_.head_.chunked) in_window_ += came;
            if (came > 0) co_return std::nullopt;
        }
    }

    bool is_too_slow() const {
        const conf::TimeoutSettings& timeouts = connection_.server_.rules_.timeouts;
        if (timeouts.min_receive_rate == 0) return false;
        const std::uint64_t least =
            timeouts.min_receive_rate * count_ms(timeouts.receive_window) / 1000;
        return in_window_ < std::max<std::uint64_t>(least, 1);
    }

    Connection& connection_;
    std::uint64_t left_;  // of one that is not chunked
    std::optional<BodyReader> reader_;
    std::string content_;
    std::size_t given_ = 0;
    std::uint64_t in_window_ = 0;  // bytes of content: chunks can be long that have little of it
    std::uint64_t waited_ms_ = 0;  // in the window
    bool has_begun_ = false;
    bool has_ended_ = false;
};

loop::Task<Response> Connection::answer_stream() {
    keep_head_apart();
    // There is nothing to win from trusting the framing of chunks, see drop_body().
    if (head_.chunked) {
        keep_alive_ = false;
        unread_input_ = true;
    }
    IncomingBody body(*this);
    Response response = co_await server_.handler_.respond_to_stream(head_, peer_, body);
    if (!body.finish()) {
        keep_alive_ = false;
        unread_input_ = true;
    }
    co_return settle(std::move(response));
}

loop::Task<Response> Connection::answer() {
    if (head_.has_body() && server_.handler_.wants_stream(head_))
        co_return co_await answer_stream();
    if (head_.has_body()) {
        const std::uint64_t wanted = server_.handler_.wanted_body(head_);
        std::optional<Refusal> refused;
        if (wanted > 0) {
            refused = co_await take_body(wanted);
        } else {
            refused = co_await drop_body();
        }
        if (refused) co_return refuse(*refused, &head_);
        if (auto response = server_.handler_.respond_now(head_, peer_))
            co_return settle(std::move(*response));
    }
    Response response = co_await server_.handler_.respond(head_, peer_);
    co_return settle(std::move(response));
}

Response Connection::refuse(Refusal refusal, const RequestHead* head) {
    server_.counters_.refused[static_cast<std::size_t>(refusal)].add();
    keep_alive_ = false;
    unread_input_ = true;
    return server_.handler_.refuse(refusal, head);
}

// Whether the connection goes on after this answer.
Response Connection::settle(Response response) {
    if (!head_.keep_alive || response.close) keep_alive_ = false;
    if (server_.draining_ && std::exchange(keep_alive_, false))
        unread_input_ = true;  // it may have sent more
    return response;
}

void Connection::report(const Response& response) {
    const std::uint64_t now_ns = loop::Loop::clock_ns();
    if (first_byte_ns_ == 0) first_byte_ns_ = now_ns;
    server_.report({.head = head_,
                    .peer = peer_,
                    .status = response.status,
                    .source = response.source,
                    .body_bytes_sent = writer_.body_bytes_sent(),
                    .first_byte_us = (first_byte_ns_ - started_ns_) / 1000,
                    .total_us = (now_ns - started_ns_) / 1000,
                    .whole = sent_whole_});
}

// ---- sending

void Connection::begin_sending(const Response& response) {
    first_byte_ns_ = 0;
    window_open_ = false;
    const bool with_body = response.has_body && head_.method != Method::head;
    HeadTail::Kind kind = HeadTail::Kind::keep_alive;
    if (!keep_alive_) {
        kind = HeadTail::Kind::close;
    } else if (head_.minor_version == 0) {
        kind = HeadTail::Kind::keep_alive_1_0;
    }
    // Not where the next request has come: that is answered at once, not with others'.
    const bool gathers =
        !tls_ && server_.loop_.gathers() && buffer_.view().size() == request_bytes_;
    writer_.begin(response, server_.tail_.text(kind, server_.loop_.wall_s()), with_body,
                  !keep_alive_, gathers);
}

// Goes on from where the writer could not without waiting.
loop::Task<> Connection::finish_sending(ResponseWriter::Step step) {
    while (step != ResponseWriter::Step::done) {
        if (first_byte_ns_ == 0 && writer_.bytes_sent() > 0)
            first_byte_ns_ = loop::Loop::clock_ns();
        bool go_on = true;
        switch (step) {
            case ResponseWriter::Step::full:
                socket_.not_writable();
                go_on = co_await wait_writable();
                break;
            case ResponseWriter::Step::unread:
                go_on = co_await fill_chunk();
                break;
            case ResponseWriter::Step::starved:
                window_open_ = false;  // that time is the origin's, not the reader's
                go_on = co_await writer_.incoming().more(writer_.incoming_offset());
                break;
            case ResponseWriter::Step::pause:
                co_await server_.loop_.yield();
                break;
            case ResponseWriter::Step::failed:
                peer_ended_ = true;
                go_on = false;
                break;
            case ResponseWriter::Step::spoilt:
                go_on = false;
                break;
            case ResponseWriter::Step::call:  // a first push's alone
            case ResponseWriter::Step::done:
                break;
        }
        if (!go_on) {
            break_off();
            co_return;
        }
        step = writer_.push(server_.loop_.now_ms());
    }
}

// The answer cannot be finished. A reset, unlike a close, cannot be taken for its end.
void Connection::break_off() {
    sent_whole_ = false;
    keep_alive_ = false;
    socket_.reset_on_close();
}

// False: the disk failed, or somebody rewrote the file meanwhile.
loop::Task<bool> Connection::fill_chunk() {
    auto read = co_await read_chunk(server_.loop_, writer_.chunk());
    if (read) writer_.chunk_read(std::move(*read));
    co_return read.has_value();
}

// False: the reader is too slow, or the server ends.
loop::Task<bool> Connection::wait_writable() {
    if (!window_open_) {
        window_open_ = true;
        taken_before_window_ = bytes_taken();
        socket_.set_deadline(server_.loop_.now_ms() +
                             count_ms(server_.rules_.timeouts.send_window));
    }
    while (true) {
        const loop::Wake wake = co_await socket_.writable();
        if (wake == loop::Wake::ready) co_return true;
        if (wake == loop::Wake::timed_out && !reader_is_too_slow()) continue;
        co_return false;
    }
}

// What the peer has acknowledged, but for a constant. The kernel's buffer may hold megabytes and
// says that it has room only once a good part of it has gone, so what it took from us tells little.
std::int64_t Connection::bytes_taken() const {
    int queued = 0;
    if (ioctl(socket_.fd(), SIOCOUTQ, &queued) != 0) queued = 0;
    const std::size_t held = tls_ ? tls_->unsent() : 0;
    return static_cast<std::int64_t>(writer_.bytes_sent()) - queued -
           static_cast<std::int64_t>(held);
}

// Called at the end of each window: judges it and opens the next.
bool Connection::reader_is_too_slow() {
    const conf::TimeoutSettings& timeouts = server_.rules_.timeouts;
    const auto least =
        static_cast<std::int64_t>(timeouts.min_send_rate * count_ms(timeouts.send_window) / 1000);
    if (bytes_taken() - taken_before_window_ < least) {
        server_.counters_.slow_readers.add();
        return true;
    }
    taken_before_window_ = bytes_taken();
    socket_.set_deadline(server_.loop_.now_ms() + count_ms(timeouts.send_window));
    return false;
}

// ---- ending

// Closing a socket that holds unread bytes resets it, and the reset can overtake our last answer.
// So say that there will be no more, and read until the peer closes (RFC 9112, 9.6).
loop::Task<> Connection::linger() {
    shutdown(socket_.fd(), SHUT_WR);
    buffer_.consume(buffer_.view().size());
    socket_.set_deadline(server_.loop_.now_ms() + count_ms(server_.rules_.timeouts.linger));
    std::uint64_t dropped = 0;
    while (dropped < kLingerBytes) {
        loop::Wake wake = co_await socket_.readable();
        if (wake == loop::Wake::ready) wake = read_plain();  // sealed or not
        if (wake != loop::Wake::ready) co_return;
        dropped += buffer_.view().size();
        buffer_.consume(buffer_.view().size());
    }
}

void Connection::begin_drain() {
    if (http2_ != nullptr) http2_->begin_drain();
    if (idle_) socket_.set_deadline(server_.loop_.now_ms() + server_.drain_idle_ms_);
}

void Connection::change_tls(const tls::Context& now) {
    if (!tls_ || tls_->can_be_judged_by(now)) return;
    keep_alive_ = false;
    unread_input_ = true;  // it may be sending more
    if (http2_ != nullptr) http2_->end_soon();
    if (idle_) socket_.set_deadline(server_.loop_.now_ms());
}

void Connection::abort() {
    socket_.reset_on_close();
    socket_.close_waits();
}

}  // namespace tidepool::http
