#include "proxy/http/connection.h"

#include "proxy/http/body_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>
#include <vector>

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tidepool::http {

namespace {

// One sendfile(2) call's worth: the loop serves others between two of them.
constexpr std::uint64_t kSendFileBytes = 1024 * 1024;
// What a worker reads at once of a file that is not in memory.
constexpr std::uint64_t kReadBytes = 128 * 1024;
// A head is held back to leave in one packet with a file's beginning only where the file is small:
// behind a head the pages of a large one no longer fill the kernel's 64 KiB segments, which costs
// more than the packet saves (100 KiB: 22.5 us of CPU against 15.0, measured 2026-11-24).
constexpr std::uint64_t kJoinHeadBelow = 32 * 1024;
// What is read and dropped while the peer takes our last answer.
constexpr std::uint64_t kLingerBytes = 1024 * 1024;
// Pipelined requests answered in a row before others get their turn.
constexpr unsigned kPipelineBatch = 32;

std::uint64_t clock_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t count_ms(conf::Milliseconds time) {
    return static_cast<std::uint64_t>(time.count());
}

}  // namespace

Connection::Connection(Server& server, int fd, const Peer& peer, std::optional<Refusal> refusal)
    : server_(server),
      socket_(server.loop_, fd),
      peer_(peer),
      buffer_(server.blocks_),
      refusal_(refusal),
      next_(server.first_),
      link_(&server.first_) {
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
    unsigned in_a_row = 0;
    while (true) {
        const Input input = co_await next_request();
        if (input == Input::ended) break;
        const Response response = co_await answer(input);
        co_await send(response);
        report(response);
        buffer_.consume(request_bytes_);
        answered_one_ = true;
        if (!keep_alive_) break;
        if (buffer_.empty()) {
            in_a_row = 0;
        } else if (++in_a_row % kPipelineBatch == 0) {
            co_await server_.loop_.yield();
        }
    }
    if (sent_whole_ && !peer_ended_ && (unread_input_ || !buffer_.empty())) co_await linger();
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
    started_ns_ = clock_ns();
    socket_.set_deadline(server_.loop_.now_ms() + count_ms(server_.rules_.timeouts.header));
}

loop::Task<Connection::Input> Connection::next_request() {
    scanner_.reset();
    head_.clear();
    const HeadLimits limits{server_.rules_.limits.request_line_bytes,
                            server_.rules_.limits.header_bytes,
                            server_.rules_.limits.header_fields};
    if (buffer_.empty()) {
        wait_for_request();
    } else {
        limit_head_time();
    }
    while (true) {
        if (!buffer_.empty()) {
            const HeadScanner::Outcome outcome = scanner_.scan(buffer_.view(), limits, head_);
            if (outcome == HeadScanner::Outcome::complete) {
                request_bytes_ = scanner_.head_bytes();
                co_return Input::request;
            }
            if (outcome == HeadScanner::Outcome::refused) {
                refusal_ = scanner_.refusal();
                co_return Input::refused;
            }
        }
        const loop::Wake wake = co_await receive();
        if (wake == loop::Wake::ready) continue;
        if (wake == loop::Wake::timed_out && !buffer_.empty()) {
            refusal_ = Refusal::header_timeout;
            co_return Input::refused;
        }
        co_return Input::ended;
    }
}

// Waits for bytes and adds them to the buffer. `ready`: there are more; anything else: there will
// be none.
loop::Task<loop::Wake> Connection::receive() {
    // A connection that was just accepted has usually sent its request already: look before
    // waiting.
    bool look_first = !answered_one_ && buffer_.empty();
    while (true) {
        if (!std::exchange(look_first, false)) {
            buffer_.release_if_empty();
            const loop::Wake wake = co_await socket_.readable();
            if (wake != loop::Wake::ready) co_return wake;
        }
        const ReadBuffer::Room room = buffer_.room();
        const ssize_t got = recv(socket_.fd(), room.data, room.bytes, 0);
        if (got > 0) {
            buffer_.wrote(static_cast<std::size_t>(got));
            if (std::exchange(idle_, false)) limit_head_time();
            co_return loop::Wake::ready;
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        peer_ended_ = true;
        co_return loop::Wake::closed;
    }
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
    if (head_.chunked) keep_alive_ = false;
    keep_head_apart();
    BodyReader body(head_);
    std::uint64_t dropped = 0;
    while (true) {
        const std::size_t bytes = buffer_.view().size();
        const BodyReader::Outcome outcome = body.feed(buffer_.view());
        if (outcome == BodyReader::Outcome::malformed) co_return Refusal::bad_chunk;
        buffer_.consume(bytes - body.left_over());
        if (outcome == BodyReader::Outcome::complete) co_return std::nullopt;
        dropped += bytes;
        if (dropped > server_.rules_.limits.discard_body_bytes) {
            keep_alive_ = false;
            unread_input_ = true;
            co_return std::nullopt;
        }
        const loop::Wake wake = co_await receive();
        if (wake == loop::Wake::ready) continue;
        keep_alive_ = false;
        if (wake == loop::Wake::timed_out) co_return Refusal::body_timeout;
        co_return std::nullopt;
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

loop::Task<Response> Connection::answer(Input input) {
    std::optional<Refusal> refused = refusal_;
    if (!refused && input == Input::request && head_.has_body()) {
        if (head_.method == Method::other) {
            refused = co_await drop_body();
        } else {
            refused = Refusal::body_not_allowed;
        }
    }
    if (refused) {
        server_.counters_.refused[static_cast<std::size_t>(*refused)].add();
        keep_alive_ = false;
        unread_input_ = true;
        co_return server_.handler_.refuse(*refused);
    }
    if (!head_.keep_alive) keep_alive_ = false;
    Response response = co_await server_.handler_.respond(head_, peer_);
    if (response.close) keep_alive_ = false;
    if (server_.draining_ && std::exchange(keep_alive_, false))
        unread_input_ = true;  // it may have sent more
    co_return response;
}

void Connection::report(const Response& response) {
    const std::uint64_t now_ns = clock_ns();
    if (first_byte_ns_ == 0) first_byte_ns_ = now_ns;
    const Exchange exchange{.head = head_,
                            .peer = peer_,
                            .status = response.status,
                            .source = response.source,
                            .body_bytes_sent = body_bytes_sent_,
                            .first_byte_us = (first_byte_ns_ - started_ns_) / 1000,
                            .total_us = (now_ns - started_ns_) / 1000,
                            .whole = sent_whole_};
    Counters& counters = server_.counters_;
    counters
        .requests[static_cast<std::size_t>(response.status / 100)]
                 [static_cast<std::size_t>(response.source)]
        .add();
    counters.count_latency(exchange.total_us);
    counters.body_bytes.add(body_bytes_sent_);
    if (!sent_whole_) counters.broken_answers.add();
    server_.handler_.finished(exchange);
}

// ---- sending

loop::Task<> Connection::send(const Response& response) {
    first_byte_ns_ = 0;
    body_bytes_sent_ = 0;
    window_open_ = false;
    const bool with_body = response.has_body && head_.method != Method::head;
    HeadTail::Kind kind = HeadTail::Kind::keep_alive;
    if (!keep_alive_) {
        kind = HeadTail::Kind::close;
    } else if (head_.minor_version == 0) {
        kind = HeadTail::Kind::keep_alive_1_0;
    }
    // Copied: the text is rewritten each second by whoever sends next, and this may wait.
    std::array<char, HeadTail::kMaxBytes> tail_copy{};
    const std::string_view tail_text = server_.tail_.text(kind);
    std::memcpy(tail_copy.data(), tail_text.data(), tail_text.size());
    const std::string_view tail(tail_copy.data(), tail_text.size());
    const std::string_view body = with_body ? response.shared_body : std::string_view();
    const bool parts_follow = with_body && !response.parts.empty();
    co_await send_bytes(response.head_lines(), tail, body,
                        parts_follow && response.body_bytes < kJoinHeadBelow);
    if (sent_whole_) body_bytes_sent_ = body.size();
    if (sent_whole_ && parts_follow) co_await send_parts(response);
}

loop::Task<> Connection::send_parts(const Response& response) {
    for (const Part& part : response.parts) {
        if (const auto* text = std::get_if<std::string>(&part)) {
            co_await send_bytes(*text, {}, {}, &part != &response.parts.back());
            if (sent_whole_) body_bytes_sent_ += text->size();
        } else {
            co_await send_file(std::get<FilePart>(part));
        }
        if (!sent_whole_) co_return;
    }
}

// The answer cannot be finished. A reset, unlike a close, cannot be taken for its end.
void Connection::break_off() {
    sent_whole_ = false;
    keep_alive_ = false;
    socket_.reset_on_close();
}

loop::Task<> Connection::send_bytes(std::string_view first, std::string_view second,
                                    std::string_view third, bool more) {
    std::array<iovec, 3> pieces{};
    std::size_t count = 0;
    for (const std::string_view text : {first, second, third}) {
        if (!text.empty()) pieces[count++] = {const_cast<char*>(text.data()), text.size()};
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    while (message.msg_iovlen > 0) {
        const ssize_t sent = sendmsg(socket_.fd(), &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) {
            peer_ended_ = true;
            break_off();
            co_return;
        }
        auto left = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
        if (left > 0 && first_byte_ns_ == 0) first_byte_ns_ = clock_ns();
        sent_in_window_ += left;
        while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
            left -= message.msg_iov->iov_len;
            ++message.msg_iov;
            --message.msg_iovlen;
        }
        if (message.msg_iovlen == 0) co_return;
        message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + left;
        message.msg_iov->iov_len -= left;
        const bool writable = co_await wait_writable();
        if (!writable) co_return;
    }
}

loop::Task<> Connection::send_file(const FilePart& part) {
    std::uint64_t offset = part.offset;
    const std::uint64_t end = part.offset + part.length;
    std::uint64_t sent_in_a_row = 0;
    std::vector<char> chunk;
    while (offset < end) {
        // A program that rewrites the file in place must not make us end a mixture of two versions
        // as if it were whole.
        if (!part.file->unchanged()) {
            break_off();
            co_return;
        }
        const std::uint64_t bytes = std::min(end - offset, kSendFileBytes);
        if (!part.file->in_memory(offset, bytes)) {
            chunk.resize(std::min(bytes, kReadBytes));
            const bool read = co_await read_chunk(part, offset, chunk);
            if (!read) {
                break_off();
                co_return;
            }
            co_await send_bytes({chunk.data(), chunk.size()}, {}, {}, offset + chunk.size() < end);
            if (!sent_whole_) co_return;
            offset += chunk.size();
            body_bytes_sent_ += chunk.size();
            continue;
        }
        auto at = static_cast<off_t>(offset);
        const ssize_t sent = sendfile(socket_.fd(), part.file->fd(), &at, bytes);
        if (sent > 0) {
            offset += static_cast<std::uint64_t>(sent);
            body_bytes_sent_ += static_cast<std::uint64_t>(sent);
            sent_in_window_ += static_cast<std::uint64_t>(sent);
            sent_in_a_row += static_cast<std::uint64_t>(sent);
            if (offset < end && sent_in_a_row >= 2 * kSendFileBytes) {
                sent_in_a_row = 0;
                co_await server_.loop_.yield();
            }
            continue;
        }
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            sent_in_a_row = 0;
            const bool writable = co_await wait_writable();
            if (!writable) co_return;
            continue;
        }
        peer_ended_ = sent < 0;  // else the file was cut short
        break_off();
        co_return;
    }
    if (!part.file->unchanged()) break_off();
}

loop::Task<bool> Connection::read_chunk(const FilePart& part, std::uint64_t offset,
                                        std::span<char> into) {
    const auto read = co_await loop::offload(server_.loop_, *part.readers, loop::Lane::bulk,
                                             [&] { return part.file->read(offset, into); });
    co_return read.has_value();
}

// False: the answer cannot be finished, and the connection has been broken off.
loop::Task<bool> Connection::wait_writable() {
    if (!window_open_) {
        window_open_ = true;
        sent_in_window_ = 0;
        socket_.set_deadline(server_.loop_.now_ms() +
                             count_ms(server_.rules_.timeouts.send_window));
    }
    while (true) {
        const loop::Wake wake = co_await socket_.writable();
        if (wake == loop::Wake::ready) co_return true;
        if (wake == loop::Wake::timed_out && !reader_is_too_slow()) continue;
        break_off();
        co_return false;
    }
}

// Called at the end of each window: judges it and opens the next.
bool Connection::reader_is_too_slow() {
    const conf::TimeoutSettings& timeouts = server_.rules_.timeouts;
    const std::uint64_t least = timeouts.min_send_rate * count_ms(timeouts.send_window) / 1000;
    if (sent_in_window_ < least) {
        server_.counters_.slow_readers.add();
        return true;
    }
    sent_in_window_ = 0;
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
    answered_one_ = true;
    while (dropped < kLingerBytes) {
        const loop::Wake wake = co_await receive();
        if (wake != loop::Wake::ready) co_return;
        dropped += buffer_.view().size();
        buffer_.consume(buffer_.view().size());
    }
}

void Connection::begin_drain() {
    if (idle_) socket_.set_deadline(server_.loop_.now_ms() + server_.drain_idle_ms_);
}

void Connection::abort() {
    socket_.reset_on_close();
    socket_.close_waits();
}

}  // namespace tidepool::http
