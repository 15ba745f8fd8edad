#include "proxy/http/http2_connection.h"

#include "conf/ascii.h"
#include "conf/log.h"
#include "proxy/http/http2_body.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <expected>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <linux/sockios.h>
#include <nghttp2/nghttp2.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace tidepool::http {

namespace {

// What is read at once, before others get their turn.
constexpr std::size_t kHttp2ReadBytes = 16ULL * 1024;
// What is sealed at once: four records' worth; and without a wait.
constexpr std::size_t kOutBytes = 64ULL * 1024;
constexpr std::size_t kTurnOutBytes = 256ULL * 1024;
// Of a frame (RFC 9113, 4.1 and 4.2).
constexpr std::size_t kFrameHeadBytes = 9;
constexpr std::size_t kFrameBytes = 16ULL * 1024;
// What the sender of a body may send before it is taken, where a handler takes it as it comes, and
// of how many of a connection at a time; of others it is the protocol's 65,535.
constexpr std::int32_t kBodyWindow = 512 * 1024;
constexpr unsigned kMostWideBodies = 8;
// Of all streams together, so that it never holds up a stream whose own window is open.
constexpr std::int32_t kConnectionWindow = 64 * 1024 * 1024;
// Heads of requests that are kept while these are open.
constexpr std::size_t kMostHeadBytes = 1024ULL * 1024;
// Frames that wait to be sent, above which nothing more is read.
constexpr std::size_t kMostWaitingFrames = 256;
// Acknowledgements that wait to be sent, above which the connection ends.
constexpr std::size_t kMostAcks = 256;
// Requests that a client may take back, or have us break off: in a row, and then per second.
constexpr std::uint64_t kResetBurst = 1000;
constexpr std::uint64_t kResetsPerSecond = 33;
// Numbers of streams that were never used and no longer can be, as far as they are remembered.
constexpr std::size_t kMostPassedOver = 64;
// What a client may send that asks for nothing (pings, settings, priorities, empty frames): so many
// bytes, and so many for each byte of requests and answers.
constexpr std::uint64_t kIdleBytes = 1024ULL * 1024;
constexpr std::uint64_t kIdleFactor = 8;
// Of the answers that may still be held open in all, one connection may have this part: so each
// that comes finds some left, and one alone may have many.
constexpr unsigned kPartOfFree = 4;

std::string_view text_of(const std::uint8_t* bytes, std::size_t count) {
    return {reinterpret_cast<const char*>(bytes), count};
}

nghttp2_nv field_of(std::string_view name, std::string_view value, std::uint8_t flags) {
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), flags};
}

// One thread's spare buffer, as most of what is framed has left before the next connection's turn.
std::string& spare_frames() {
    thread_local std::string spare;
    return spare;
}

// Whether an answer that has not left keeps more than its own text: a file, memory that the cache
// may have let go of by then, or what still arrives.
bool holds_much(const Response& response) {
    return response.owner != nullptr || std::ranges::any_of(response.parts, [](const Part& part) {
               return !std::holds_alternative<std::string>(part);
           });
}

// Of one connection alone (RFC 9113, 8.2.2).
bool is_of_connection(std::string_view lower_name) {
    return lower_name == "connection" || lower_name == "keep-alive" ||
           lower_name == "transfer-encoding" || lower_name == "upgrade";
}

}  // namespace

// What nghttp2 calls. Each only notes.
struct Http2Connection::Callbacks {
    static Http2Connection& self(void* user) { return *static_cast<Http2Connection*>(user); }
    static Http2Stream* stream(nghttp2_session* session, std::int32_t id) {
        return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
    }

    // What nghttp2 lets pass, and RFC 9113 does not (5.1.1, 6.3).
    static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
        Http2Connection& connection = self(user);
        const bool is_priority_of_none = head->type == NGHTTP2_PRIORITY && head->stream_id == 0;
        const bool is_passed_over = head->type == NGHTTP2_HEADERS &&
                                    head->stream_id < connection.last_id_ &&
                                    std::ranges::find(connection.passed_over_, head->stream_id) !=
                                        connection.passed_over_.end();
        if (is_priority_of_none || is_passed_over) connection.terminate(NGHTTP2_PROTOCOL_ERROR);
        return 0;
    }

    static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        Http2Connection& connection = self(user);
        if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
            return 0;
        for (std::int32_t id = connection.last_id_ + 2;
             id < frame->hd.stream_id && connection.passed_over_.size() < kMostPassedOver; id += 2)
            connection.passed_over_.push_back(id);
        connection.last_id_ = frame->hd.stream_id;
        const conf::LimitSettings& limits = connection.server_.rules_.limits;
        // What comes after the end was told is not looked at, which the client knows. And what it
        // took back may still be worked on, and its head be kept.
        if (connection.is_goaway_final_ || connection.streams_ >= 2ULL * limits.http2_streams ||
            connection.head_bytes_ >= kMostHeadBytes) {
            return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                             NGHTTP2_REFUSED_STREAM);
        }
        auto* const stream =
            new Http2Stream(connection, frame->hd.stream_id,
                            {limits.request_line_bytes, limits.header_bytes, limits.header_fields},
                            connection.peer_, connection.server_.loop_.wheel(), &on_body_deadline);
        stream->started_ns = connection.server_.loop_.now_ns();
        stream->next = connection.first_;
        if (connection.first_ != nullptr) connection.first_->previous = stream;
        connection.first_ = stream;
        ++connection.streams_;
        ++connection.open_;
        connection.head_until_ms_ =
            connection.server_.loop_.now_ms() + count_ms(connection.server_.rules_.timeouts.header);
        return nghttp2_session_set_stream_user_data(session, stream->id, stream);
    }

    static int on_header(nghttp2_session* session, const nghttp2_frame* frame,
                         const std::uint8_t* name, std::size_t name_bytes,
                         const std::uint8_t* value, std::size_t value_bytes, std::uint8_t,
                         void* user) {
        Http2Stream* const known = stream(session, frame->hd.stream_id);
        if (known == nullptr || known->has_head) return 0;  // refused, or trailers
        const auto added = known->lines.add(text_of(name, name_bytes), text_of(value, value_bytes));
        if (added != Http2Head::Added::flood) return 0;
        self(user).terminate(NGHTTP2_ENHANCE_YOUR_CALM);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }

    static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        Http2Connection& connection = self(user);
        if (frame->hd.type == NGHTTP2_RST_STREAM) {
            connection.server_.counters_.http2_resets.add();
            connection.count_broken_off();
        }
        if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
        connection.useful_bytes_ += frame->hd.length;
        Http2Stream* const known = stream(session, frame->hd.stream_id);
        if (known == nullptr) return 0;
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) known->has_ended = true;
        if (!known->has_head) {
            known->has_head = true;
            known->has_body = !known->has_ended;
            connection.head_until_ms_ = 0;
            connection.count_head(*known);
            connection.hold(*known, connection.came_);
        } else if (known->has_ended) {
            connection.hold(*known, connection.woken_);
        }
        return 0;
    }

    static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id,
                       const std::uint8_t* data, std::size_t bytes, void* user) {
        Http2Connection& connection = self(user);
        nghttp2_session_consume_connection(session, bytes);
        Http2Stream* const known = stream(session, id);
        if (known == nullptr) return 0;
        if (known->is_answered) return connection.drop(*known, bytes);
        known->arrived.append(text_of(data, bytes));
        connection.hold(*known, connection.woken_);
        return 0;
    }

    static int on_close(nghttp2_session* session, std::int32_t id, std::uint32_t, void* user) {
        if (Http2Stream* const known = stream(session, id)) self(user).close(*known);
        return 0;
    }

    static int on_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        // For what was wrong with a request, which costs as much as one that is taken back.
        if (frame->hd.type == NGHTTP2_RST_STREAM &&
            frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
            frame->rst_stream.error_code != NGHTTP2_INTERNAL_ERROR)
            self(user).count_broken_off();
        Http2Stream* const known = stream(session, frame->hd.stream_id);
        if (known == nullptr || !known->is_answered) return 0;
        const bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (frame->hd.type == NGHTTP2_HEADERS) {
            self(user).useful_bytes_ += frame->hd.length;
            known->first_byte_ns = loop::Loop::clock_ns();
        } else if (frame->hd.type != NGHTTP2_DATA) {
            return 0;
        }
        if (!is_last) return 0;
        known->is_sent = true;
        return known->has_ended ? 0 : self(user).drop(*known, 0);
    }

    static void on_body_deadline(void* stream) {
        auto& known = *static_cast<Http2Stream*>(stream);
        if (known.body_waiter) {
            known.wake_body();
        } else if (known.is_sent && !known.has_ended) {
            known.connection.refuse_rest(known);
        }
    }

    static ssize_t on_send(nghttp2_session*, const std::uint8_t* data, std::size_t bytes, int,
                           void* user) {
        Http2Connection& connection = self(user);
        if (!connection.has_room())
            return connection.has_failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_WOULDBLOCK;
        connection.out_.append(text_of(data, bytes));
        return static_cast<ssize_t>(bytes);
    }

    static ssize_t on_read_body(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t most,
                                std::uint32_t* flags, nghttp2_data_source* source, void* user) {
        Http2Connection& connection = self(user);
        // Asked before the source is looked at, so that its bytes are taken as soon as it was.
        if (!connection.has_room())
            return connection.has_failed_ ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_PAUSE;
        Http2Stream& stream = *static_cast<Http2Stream*>(source->ptr);
        const BodySource::Look seen = stream.source.look(most, connection.server_.loop_.now_ns());
        switch (seen.step) {
            case BodySource::Step::ready:
                *flags = NGHTTP2_DATA_FLAG_NO_COPY;
                if (seen.bytes == stream.source.left()) *flags |= NGHTTP2_DATA_FLAG_EOF;
                return static_cast<ssize_t>(seen.bytes);
            case BodySource::Step::end:
                if (stream.source.left() > 0) break;  // less than the head has said
                *flags = NGHTTP2_DATA_FLAG_EOF;
                return 0;
            case BodySource::Step::unread:
            case BodySource::Step::starved:
                stream.is_filling = true;
                stream.is_unread = seen.step == BodySource::Step::unread;
                connection.hold(stream, connection.starved_);
                return NGHTTP2_ERR_DEFERRED;
            case BodySource::Step::spoilt:
                break;
        }
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }

    static int on_send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_head,
                            std::size_t bytes, nghttp2_data_source* source, void* user) {
        Http2Connection& connection = self(user);
        Http2Stream& stream = *static_cast<Http2Stream*>(source->ptr);
        std::string& out = connection.out_;
        const std::size_t before = out.size();
        bool is_whole = true;
        out.resize_and_overwrite(before + kFrameHeadBytes + bytes, [&](char* at, std::size_t) {
            std::memcpy(at + before, frame_head, kFrameHeadBytes);
            is_whole = stream.source.take({at + before + kFrameHeadBytes, bytes});
            return is_whole ? before + kFrameHeadBytes + bytes : before;
        });
        if (!is_whole) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        stream.body_sent += bytes;
        connection.useful_bytes_ += bytes;
        return 0;
    }

    static nghttp2_session_callbacks* table() {
        static nghttp2_session_callbacks* const made = [] {
            nghttp2_session_callbacks* table = nullptr;
            if (nghttp2_session_callbacks_new(&table) != 0) return table;
            nghttp2_session_callbacks_set_on_begin_frame_callback(table, &on_begin_frame);
            nghttp2_session_callbacks_set_on_begin_headers_callback(table, &on_begin_headers);
            nghttp2_session_callbacks_set_on_header_callback(table, &on_header);
            nghttp2_session_callbacks_set_on_frame_recv_callback(table, &on_frame);
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, &on_data);
            nghttp2_session_callbacks_set_on_stream_close_callback(table, &on_close);
            nghttp2_session_callbacks_set_on_frame_send_callback(table, &on_sent);
            nghttp2_session_callbacks_set_send_callback(table, &on_send);
            nghttp2_session_callbacks_set_send_data_callback(table, &on_send_data);
            return table;
        }();
        return made;
    }
};

Http2Connection::Http2Connection(Server& server, loop::Socket& socket, tls::Session& tls,
                                 const Peer& peer)
    : server_(server), socket_(socket), tls_(tls), peer_(peer) {}

Http2Connection::~Http2Connection() {
    nghttp2_session_del(session_);
}

bool Http2Connection::begin() {
    const conf::LimitSettings& limits = server_.rules_.limits;
    nghttp2_option* options = nullptr;
    if (Callbacks::table() == nullptr || nghttp2_option_new(&options) != 0) return false;
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_outbound_ack(options, kMostAcks);
    nghttp2_option_set_stream_reset_rate_limit(options, UINT64_MAX, 0);  // counted here
    // As many as a head needs that is as large as it may be.
    nghttp2_option_set_max_continuations(options, limits.header_bytes / kFrameBytes + 2);
    const int made = nghttp2_session_server_new2(&session_, Callbacks::table(), this, options);
    nghttp2_option_del(options);
    if (made != 0) return false;
    const std::array<nghttp2_settings_entry, 3> settings{{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.http2_streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header_bytes)},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    }};
    server_.counters_.http2_connections.add();
    idle_until_ms_ = server_.loop_.now_ms() + count_ms(server_.rules_.timeouts.header);
    return nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
               0 &&
           nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                 kConnectionWindow) == 0;
}

// Resumed when the last coroutine has ended.
struct Http2Connection::AllDone {
    Http2Connection& connection;
    bool await_ready() const noexcept { return connection.tasks_ == 0; }
    void await_suspend(std::coroutine_handle<> waiter) const { connection.end_waiter_ = waiter; }
    void await_resume() const noexcept {}
};

loop::Task<> Http2Connection::run() {
    if (begin()) {
        if (server_.draining_) begin_drain();
        while (true) {
            const Turn turn = take_turn();
            if (turn == Turn::ended || socket_.is_closing() || !keep_time()) break;
            if (turn == Turn::again) {
                co_await server_.loop_.yield();
                continue;
            }
            set_deadline();
            if (co_await socket_.ready(may_read(), is_blocked_) == loop::Wake::closed) break;
        }
    }
    end_all();
    co_await AllDone{*this};
    tell_held();
}

// ---- turns

Http2Connection::Turn Http2Connection::take_turn() {
    is_in_turn_ = true;
    is_blocked_ = false;
    sealed_in_turn_ = 0;
    const bool has_read_all = !may_read() || !socket_.may_be_readable() || read_some();
    if (!is_broken_) dispatch();
    tell_held();
    const bool is_there = !is_broken_ && !closes_unanswered_ && push();
    is_in_turn_ = false;
    if (!is_there) return Turn::ended;
    // What answers wait for begins once all that can leave has left.
    std::vector<Http2Stream*> starved;
    starved.swap(starved_);
    for (Http2Stream* const each : starved) {
        start(*each, fill(*each));
        release(*each);
    }
    drop_chunks();
    if (has_peer_ended_) return Turn::ended;
    if (!is_blocked_ && nghttp2_session_want_read(session_) == 0 &&
        nghttp2_session_want_write(session_) == 0)
        return Turn::ended;
    const bool is_ready = is_paused_ || !came_.empty() || !woken_.empty() || !starved_.empty();
    return is_ready || !has_read_all ? Turn::again : Turn::wait;
}

// There is something to send, or to begin.
void Http2Connection::wake() {
    if (!is_in_turn_) socket_.poke();
}

// Who sends what we must answer, and does not take the answers, is not read.
bool Http2Connection::may_read() const {
    return nghttp2_session_get_outbound_queue_size(session_) < kMostWaitingFrames;
}

// False: there may be more.
bool Http2Connection::read_some() {
    std::array<char, kHttp2ReadBytes> bytes;
    const tls::Session::Got got = tls_.read(bytes);
    if (got.bytes > 0) {
        bytes_in_ += got.bytes;
        const auto taken = nghttp2_session_mem_recv(
            session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), got.bytes);
        if (taken < 0) {
            // What it finds wrong within frames nghttp2 says itself; then it is of no more use.
            if (taken == NGHTTP2_ERR_FLOODED) server_.counters_.http2_floods.add();
            conf::log_debug("no HTTP/2 peer={} reason=\"{}\"", peer_.text(),
                            nghttp2_strerror(static_cast<int>(taken)));
            is_broken_ = true;
            return true;
        }
        if (is_flooding()) terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    }
    if (got.step == tls::Step::want_read) {
        socket_.not_readable();
        return true;
    }
    if (got.step == tls::Step::done) return false;
    has_peer_ended_ = true;
    return true;
}

bool Http2Connection::is_flooding() const {
    return bytes_in_ > kIdleBytes + kIdleFactor * useful_bytes_;
}

// A request that the client began and took back, or had us break off.
void Http2Connection::count_broken_off() {
    const std::uint64_t now_ms = server_.loop_.now_ms();
    const std::uint64_t regained = (now_ms - broken_off_ms_) * kResetsPerSecond / 1000;
    if (regained > 0) {
        broken_off_ -= std::min(broken_off_, regained);
        broken_off_ms_ = now_ms;
    }
    if (++broken_off_ > kResetBurst) terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

// Says GOAWAY, and is over when that has left.
void Http2Connection::terminate(std::uint32_t error) {
    if (std::exchange(is_terminated_, true)) return;
    if (error == NGHTTP2_ENHANCE_YOUR_CALM) server_.counters_.http2_floods.add();
    nghttp2_session_terminate_session(session_, error);
    wake();
}

// Anew, after what it takes in memory has changed.
void Http2Connection::count_head(Http2Stream& stream) {
    head_bytes_ -= std::exchange(
        stream.kept_bytes, stream.lines.bytes() + stream.head.fields.capacity() * sizeof(Field));
    head_bytes_ += stream.kept_bytes;
}

// Lets more of a body come at a time. False: enough others have that.
bool Http2Connection::widen(Http2Stream& stream) {
    if (wide_bodies_ >= kMostWideBodies || stream.is_closed || is_ended_) return false;
    ++wide_bodies_;
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, stream.id, kBodyWindow);
    wake();
    return true;
}

// Does what the callbacks have noted.
void Http2Connection::dispatch() {
    std::vector<Http2Stream*> came;
    came.swap(came_);
    for (Http2Stream* const each : came) {
        if (!each->is_closed && !closes_unanswered_) admit(*each);
        release(*each);
    }
    if (came_.empty()) {  // its memory, for the next time
        came.clear();
        came_.swap(came);
    }
    std::vector<Http2Stream*> woken;
    woken.swap(woken_);
    for (Http2Stream* const each : woken) {
        each->wake_body();
        release(*each);
    }
}

// ---- requests

void Http2Connection::admit(Http2Stream& stream) {
    server_.counters_.http2_requests.add();
    const std::optional<Refusal> refusal = stream.lines.read(stream.head, stream.has_body);
    count_head(stream);
    if (!tls_.can_be_judged_by(*server_.rules_.tls)) {
        // It came before the end was told, and comes again: see end_soon().
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_REFUSED_STREAM);
        return;
    }
    stream.peer.has_certificate = tls_.is_client_proven_by(*server_.rules_.tls);
    const Admission admission =
        server_.handler_.let_in(refusal ? nullptr : &stream.head, stream.peer);
    stream.peer.proven = admission.proven;
    if (admission.entry == Admission::Entry::close) {
        if (refusal) server_.counters_.refused[static_cast<std::size_t>(*refusal)].add();
        closes_unanswered_ = true;
        has_peer_ended_ = true;  // for us
    } else if (admission.entry == Admission::Entry::forbid) {
        give(stream, refuse(Refusal::locked_out, nullptr));
        end_soon();
    } else if (refusal) {
        give(stream, refuse(*refusal, nullptr));
    } else {
        take_request(stream);
    }
}

void Http2Connection::take_request(Http2Stream& stream) {
    if (stream.has_body) {
        if (stream.head.content_length > 0 && stream.head.method != Method::other) {
            give(stream, refuse(Refusal::body_not_allowed, &stream.head));
            return;
        }
        start(stream, answer(stream, respond_to_body(stream)));
        return;
    }
    // Most answers come from memory, and need no coroutine of their own.
    if (auto response = server_.handler_.respond_now(stream.head, stream.peer)) {
        give(stream, std::move(*response));
        return;
    }
    start(stream, answer(stream, server_.handler_.respond(stream.head, stream.peer)));
}

// Runs a coroutine that works on the stream, and ends with leave().
void Http2Connection::start(Http2Stream& stream, loop::Task<> task) {
    ++tasks_;
    ++stream.holds;
    server_.loop_.tasks().spawn(std::move(task));
}

void Http2Connection::leave(Http2Stream& stream) {
    release(stream);
    tell_held();
    if (--tasks_ == 0 && end_waiter_) server_.loop_.post(std::exchange(end_waiter_, nullptr));
}

loop::Task<> Http2Connection::answer(Http2Stream& stream, loop::Task<Response> made) {
    Response response = co_await std::move(made);
    give(stream, std::move(response));
    leave(stream);
}

loop::Task<Response> Http2Connection::respond_to_body(Http2Stream& stream) {
    Handler& handler = server_.handler_;
    const bool is_streamed =
        stream.head.method == Method::other && handler.wants_stream(stream.head);
    Http2Body body(*this, stream, is_streamed);
    if (is_streamed) {
        Response response = co_await handler.respond_to_stream(stream.head, stream.peer, body);
        co_return response;
    }
    const bool may_have_body = stream.head.method == Method::other;
    const std::uint64_t wanted = may_have_body ? handler.wanted_body(stream.head) : 0;
    if (stream.head.content_length > wanted && wanted > 0)
        co_return refuse(Refusal::body_too_large, &stream.head);
    // One that nobody wants is not waited for, but whether there is one has to be known of a GET.
    while (wanted > 0 || !may_have_body) {
        const auto piece = co_await body.next();
        if (!piece) co_return refuse(piece.error(), &stream.head);
        if (piece->empty()) break;
        if (!may_have_body) co_return refuse(Refusal::body_not_allowed, &stream.head);
        stream.body += *piece;
        if (stream.body.size() > wanted) co_return refuse(Refusal::body_too_large, &stream.head);
    }
    stream.head.body = stream.body;
    if (auto response = handler.respond_now(stream.head, stream.peer))
        co_return std::move(*response);
    Response response = co_await handler.respond(stream.head, stream.peer);
    co_return response;
}

// The peer may be waiting for this (RFC 9110, 10.1.1).
void Http2Connection::allow_body(Http2Stream& stream) {
    if (!stream.head.expects_continue || stream.is_closed || is_ended_) return;
    const nghttp2_nv status = field_of(":status", "100", NGHTTP2_NV_FLAG_NONE);
    nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, &status, 1, nullptr);
    wake();
}

// As many bytes of a body may come again.
void Http2Connection::consume(Http2Stream& stream, std::size_t bytes) {
    if (stream.is_closed || is_ended_) return;
    nghttp2_session_consume_stream(session_, stream.id, bytes);
    wake();
}

// Of a body that nobody takes so much has come: a short one is let come to its end, as clients may
// take a refusal for a failure.
int Http2Connection::drop(Http2Stream& stream, std::size_t bytes) {
    const Server::Rules& rules = server_.rules_;
    const std::uint64_t limit = rules.limits.discard_body_bytes;
    stream.dropped += bytes;
    if (stream.dropped > limit || stream.head.content_length > limit) {
        if (stream.is_sent) refuse_rest(stream);
        return 0;
    }
    if (stream.is_sent && bytes == 0)
        stream.body_deadline.set(server_.loop_.now_ms() + count_ms(rules.timeouts.linger));
    return bytes == 0 ? 0 : nghttp2_session_consume_stream(session_, stream.id, bytes);
}

// It is answered, and the rest of the request not wanted (RFC 9113, 8.1).
void Http2Connection::refuse_rest(Http2Stream& stream) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_NO_ERROR);
    wake();
}

Response Http2Connection::refuse(Refusal refusal, const RequestHead* head) {
    server_.counters_.refused[static_cast<std::size_t>(refusal)].add();
    return server_.handler_.refuse(refusal, head);
}

// ---- answers

void Http2Connection::give(Http2Stream& stream, Response response) {
    stream.response = std::move(response);
    stream.is_answered = true;
    if (!stream.arrived.empty()) consume(stream, stream.arrived.size());
    free_memory(stream.arrived);
    if (stream.is_closed || is_ended_) {  // the client took it back, or is gone
        report(stream);
        return;
    }
    if (!hold_body(stream)) stream.response = refuse(Refusal::too_many_answers, &stream.head);
    submit(stream);
    wake();
}

// A client alone decides how long an answer of its is held open, and has many at a time: so those
// of all connections are bounded, but for the first of each, for which room is kept with the
// connection. False: it would be one too many.
bool Http2Connection::hold_body(Http2Stream& stream) {
    Response& response = stream.response;
    if (!response.has_body || response.body_bytes == 0 || stream.head.method == Method::head) {
        // Its head is all that is left to send.
        if (response.head.empty()) {
            response.head = response.shared_status;
            response.head += response.shared_lines;
        }
        response.parts.clear();
        response.owner.reset();
        return true;
    }
    if (!holds_much(response)) return true;
    if (held_ > 0) {
        const unsigned mine = held_ - 1;
        const unsigned in_all = server_.counts_.answers() - told_ + mine;
        const unsigned most = Server::share_of(server_.rules_.limits.http2_answers, peer_);
        if (in_all >= most || mine * kPartOfFree >= most - in_all) return false;
    }
    ++held_;
    stream.is_held = true;
    return true;
}

// Once for all that happens in a turn, as every loop writes that number.
void Http2Connection::tell_held() {
    const unsigned beyond_first = held_ > 0 ? held_ - 1 : 0;
    if (beyond_first == told_) return;
    server_.counts_.change_answers(told_, beyond_first);
    told_ = beyond_first;
}

void Http2Connection::submit(Http2Stream& stream) {
    thread_local std::vector<nghttp2_nv> fields;
    fields.clear();
    const Response& response = stream.response;
    std::string_view lines = response.field_lines();
    stream.names.reserve(lines.size());  // so that views of it stay good
    const fmt::format_int status(response.status);
    // These are copied, the others are where the stream has them for as long as it lives.
    fields.push_back(field_of(":status", {status.data(), status.size()}, NGHTTP2_NV_FLAG_NONE));
    const std::string& date = server_.tail_.date(server_.loop_.wall_s());
    fields.push_back(field_of("date", date, NGHTTP2_NV_FLAG_NONE));
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find("\r\n"), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 2, lines.size()));
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const std::size_t name_at = stream.names.size();
        for (const char c : line.substr(0, colon))
            stream.names.push_back(conf::lower_case(c));
        const std::string_view name = std::string_view(stream.names).substr(name_at);
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' '))
            value.remove_prefix(1);
        if (is_of_connection(name)) continue;
        fields.push_back(
            field_of(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE));
    }
    const bool with_body =
        response.has_body && response.body_bytes > 0 && stream.head.method != Method::head;
    stream.source.begin(response, with_body, server_.loop_.now_ns());
    nghttp2_data_provider provider{};
    provider.source.ptr = &stream;
    provider.read_callback = &Callbacks::on_read_body;
    nghttp2_submit_response(session_, stream.id, fields.data(), fields.size(),
                            with_body ? &provider : nullptr);
}

// Fetches what comes next of an answer, while others go on.
loop::Task<> Http2Connection::fill(Http2Stream& stream) {
    bool is_there = false;
    BodySource& source = stream.source;
    if (stream.is_unread) {
        auto read = co_await read_chunk(server_.loop_, source.chunk(window_of(stream)));
        is_there = read.has_value();
        if (is_there) source.chunk_read(std::move(*read));
    } else {
        is_there = co_await source.incoming().more(source.incoming_offset());
    }
    stream.is_filling = false;
    if (!stream.is_closed && !is_ended_) {
        if (is_there) {
            const bool is_listed = std::ranges::find(filled_, &stream) != filled_.end();
            if (stream.is_unread && !is_listed) hold(stream, filled_);
            nghttp2_session_resume_data(session_, stream.id);
        } else {
            nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id,
                                      NGHTTP2_INTERNAL_ERROR);
        }
        wake();
    }
    leave(stream);
}

// What of an answer the peer would take now.
std::uint64_t Http2Connection::window_of(const Http2Stream& stream) const {
    const std::int32_t window =
        std::min(nghttp2_session_get_stream_remote_window_size(session_, stream.id),
                 nghttp2_session_get_remote_window_size(session_));
    return static_cast<std::uint64_t>(std::max(window, 0));
}

// What was read for a window that others have used up since, or that the client has taken back: it
// is read again when there is one.
void Http2Connection::drop_chunks() {
    std::erase_if(filled_, [this](Http2Stream* stream) {
        if (!stream->is_closed && stream->source.has_chunk() &&
            !(waits_for_peer(*stream) && stream->source.drop_chunk()))
            return false;
        release(*stream);
        return true;
    });
}

void Http2Connection::report(const Http2Stream& stream) {
    const std::uint64_t now_ns = loop::Loop::clock_ns();
    const std::uint64_t first_ns = stream.first_byte_ns == 0 ? now_ns : stream.first_byte_ns;
    server_.report({.head = stream.head,
                    .peer = stream.peer,
                    .status = stream.response.status,
                    .source = stream.response.source,
                    .body_bytes_sent = stream.body_sent,
                    .first_byte_us = (first_ns - stream.started_ns) / 1000,
                    .total_us = (now_ns - stream.started_ns) / 1000,
                    .whole = stream.is_sent});
}

// ---- sending

// False: the peer is gone.
bool Http2Connection::push() {
    is_paused_ = false;
    if (out_.empty() && out_.capacity() < kOutBytes) out_.swap(spare_frames());
    const int sent = nghttp2_session_send(session_);
    if (has_failed_ || (sent != 0 && sent != NGHTTP2_ERR_CALLBACK_FAILURE)) {
        has_peer_ended_ = has_failed_;
        return false;
    }
    if (is_blocked_) return true;
    if (!out_.empty() && !seal()) return !has_failed_;
    // A connection with nothing to say holds no buffer.
    if (spare_frames().capacity() < kOutBytes) {
        out_.swap(spare_frames());
    } else {
        free_memory(out_);
    }
    switch (tls_.flush()) {
        case tls::Step::done:
            return true;
        case tls::Step::want_write:
            is_blocked_ = true;
            socket_.not_writable();
            return true;
        default:
            has_peer_ended_ = true;
            return false;
    }
}

// Of out_, for one more frame.
bool Http2Connection::has_room() {
    if (is_blocked_ || has_failed_) return false;
    if (out_.size() < kOutBytes) return true;
    if (sealed_in_turn_ >= kTurnOutBytes) {
        is_paused_ = true;
        return false;
    }
    return seal();
}

bool Http2Connection::seal() {
    switch (tls_.write(out_)) {
        case tls::Step::done:
            bytes_out_ += out_.size();
            sealed_in_turn_ += out_.size();
            out_.clear();
            return true;
        case tls::Step::want_write:
            is_blocked_ = true;
            socket_.not_writable();
            return false;
        default:
            has_failed_ = true;
            return false;
    }
}

// ---- streams

void Http2Connection::hold(Http2Stream& stream, std::vector<Http2Stream*>& list) {
    if (!list.empty() && list.back() == &stream) return;
    ++stream.holds;
    list.push_back(&stream);
}

void Http2Connection::release(Http2Stream& stream) {
    if (--stream.holds > 0 || !stream.is_closed) return;
    if (stream.next != nullptr) stream.next->previous = stream.previous;
    (stream.previous != nullptr ? stream.previous->next : first_) = stream.next;
    --streams_;
    if (stream.is_held) --held_;
    head_bytes_ -= stream.kept_bytes;
    delete &stream;
}

// nghttp2 has done with it.
void Http2Connection::close(Http2Stream& stream) {
    if (std::exchange(stream.is_closed, true)) return;
    if (!stream.has_head) head_until_ms_ = 0;
    if (!stream.body_waiter) stream.body_deadline.clear();
    if (stream.is_answered) report(stream);
    hold(stream, woken_);  // who waits for its body
    if (--open_ > 0) return;
    const conf::TimeoutSettings& timeouts = server_.rules_.timeouts;
    idle_until_ms_ =
        server_.loop_.now_ms() + count_ms(peer_.trusted ? timeouts.idle_edge : timeouts.idle);
}

void Http2Connection::end_all() {
    is_ended_ = true;
    if (closes_unanswered_) shutdown(socket_.fd(), SHUT_RDWR);  // others may take a while
    for (std::vector<Http2Stream*>* const list : {&came_, &starved_, &filled_}) {
        for (Http2Stream* const each : *list)
            release(*each);
        list->clear();
    }
    for (Http2Stream* each = first_; each != nullptr;) {
        Http2Stream* const next = each->next;
        close(*each);
        each = next;
    }
    // From the bottom of the stack, as they may end what we are in.
    std::vector<Http2Stream*> woken;
    woken.swap(woken_);
    for (Http2Stream* const each : woken) {
        if (each->body_waiter) server_.loop_.post(std::exchange(each->body_waiter, nullptr));
        release(*each);
    }
}

// ---- time

void Http2Connection::begin_drain() {
    if (session_ == nullptr || goaway_at_ms_ != 0) return;
    // What is on its way is still taken (RFC 9113, 6.8).
    nghttp2_submit_shutdown_notice(session_);
    goaway_at_ms_ = server_.loop_.now_ms() + server_.drain_idle_ms_;
    wake();
}

void Http2Connection::end_soon() {
    if (session_ == nullptr || std::exchange(is_goaway_final_, true)) return;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
    wake();
}

void Http2Connection::set_deadline() {
    std::uint64_t until_ms = window_until_ms_ != 0 ? window_until_ms_ : idle_until_ms_;
    if (head_until_ms_ != 0) until_ms = std::min(until_ms, head_until_ms_);
    if (goaway_at_ms_ != 0 && !is_goaway_final_) until_ms = std::min(until_ms, goaway_at_ms_);
    socket_.set_deadline(until_ms);
}

// By the clock and after each turn, as turns come when the client likes. False: the connection ends
// at once.
bool Http2Connection::keep_time() {
    const std::uint64_t now_ms = server_.loop_.now_ms();
    if (goaway_at_ms_ != 0 && now_ms >= goaway_at_ms_) end_soon();
    if (head_until_ms_ != 0 && now_ms >= head_until_ms_) {
        head_until_ms_ = 0;
        server_.counters_.refused[static_cast<std::size_t>(Refusal::header_timeout)].add();
        terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    }
    if (open_ > 0 || is_blocked_) {
        if (window_until_ms_ == 0) begin_window();
        if (now_ms < window_until_ms_) return true;
        const bool goes_on = judge_readers();
        begin_window();
        return goes_on;
    }
    window_until_ms_ = 0;
    if (now_ms >= idle_until_ms_) terminate(NGHTTP2_NO_ERROR);
    return true;
}

void Http2Connection::begin_window() {
    window_until_ms_ = server_.loop_.now_ms() + count_ms(server_.rules_.timeouts.send_window);
    taken_before_window_ = bytes_taken();
    was_blocked_ = is_blocked_;
    for (Http2Stream* each = first_; each != nullptr; each = each->next) {
        each->is_judged = each->is_answered;
        each->body_sent_before = each->body_sent;
    }
}

// At the end of a window: takes their answers from readers that are too slow. False: all of them.
bool Http2Connection::judge_readers() {
    const conf::TimeoutSettings& timeouts = server_.rules_.timeouts;
    const std::uint64_t least = timeouts.min_send_rate * count_ms(timeouts.send_window) / 1000;
    if (was_blocked_ && is_blocked_ &&
        bytes_taken() - taken_before_window_ < static_cast<std::int64_t>(least)) {
        server_.counters_.slow_readers.add();
        socket_.reset_on_close();
        has_peer_ended_ = true;
        return false;
    }
    if (open_ == 0) return true;
    // All that are open share one line.
    const std::uint64_t least_each = std::max<std::uint64_t>(least / open_, least > 0 ? 1 : 0);
    for (Http2Stream* each = first_; each != nullptr; each = each->next) {
        if (!each->is_judged || each->is_closed || !waits_for_peer(*each)) continue;
        if (each->body_sent - each->body_sent_before >= least_each) continue;
        server_.counters_.slow_readers.add();
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, each->id, NGHTTP2_CANCEL);
        wake();
    }
    return true;
}

// For it to open a window (RFC 9113, 5.2).
bool Http2Connection::waits_for_peer(const Http2Stream& stream) const {
    return stream.source.left() > 0 && !stream.is_filling && window_of(stream) == 0;
}

// What the peer has acknowledged, but for a constant.
std::int64_t Http2Connection::bytes_taken() const {
    int queued = 0;
    if (ioctl(socket_.fd(), SIOCOUTQ, &queued) != 0) queued = 0;
    return static_cast<std::int64_t>(bytes_out_) - queued -
           static_cast<std::int64_t>(tls_.unsent());
}

}  // namespace tidepool::http
