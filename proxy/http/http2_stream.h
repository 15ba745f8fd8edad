// One request over HTTP/2, its body and its answer.
#pragma once

#include "proxy/http/body_source.h"
#include "proxy/http/handler.h"
#include "proxy/http/refusal.h"
#include "proxy/http/request.h"
#include "proxy/http/response.h"
#include "proxy/loop/timer_wheel.h"

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace tidepool::http {

// Gives back what a text takes, which assigning an empty one does not.
inline void free_memory(std::string& text) {
    std::string().swap(text);
}

// Puts a request's fields together as HTTP/1.1 would have sent them, and has HeadScanner read that:
// so both protocols have one idea of what a request is, and the same refusals. That names and
// values may stand where they do (RFC 9113, 8.2 and 8.3) was seen by who calls add(). Pure.
class Http2Head {
  public:
    explicit Http2Head(const HeadLimits& limits) : limits_(limits) {}

    enum class Added : std::uint8_t { kept, dropped, flood };
    // `dropped`: above the limit, the request will be refused; `flood`: far above it.
    Added add(std::string_view name, std::string_view value);
    // After the last one: fills `head`, whose views point in here. Nothing: it is a request.
    // `has_body`: one follows, perhaps of no bytes.
    std::optional<Refusal> read(RequestHead& head, bool has_body);
    // What it takes in memory.
    std::size_t bytes() const;

  private:
    HeadLimits limits_;
    std::string method_;
    std::string path_;
    std::string authority_;
    std::string host_;
    std::string fields_;
    std::string text_;
    std::size_t added_ = 0;
    bool has_line_end_ = false;
};

class Http2Connection;

// Belongs to its connection, which says when it goes: once nghttp2 has closed it and no coroutine
// and no list holds it.
struct Http2Stream {
    // `on_body_deadline` is given the stream.
    Http2Stream(Http2Connection& owner, std::int32_t number, const HeadLimits& limits,
                const Peer& from, loop::TimerWheel& wheel,
                loop::Deadline::Callback on_body_deadline)
        : connection(owner),
          id(number),
          lines(limits),
          peer(from),
          body_deadline(wheel, on_body_deadline, this) {}
    Http2Stream(const Http2Stream&) = delete;
    Http2Stream& operator=(const Http2Stream&) = delete;

    // Resumes who waits for the body.
    void wake_body() {
        if (body_waiter) std::exchange(body_waiter, nullptr).resume();
    }

    Http2Connection& connection;
    std::int32_t id;
    Http2Stream* next = nullptr;
    Http2Stream* previous = nullptr;
    unsigned holds = 0;
    bool is_closed = false;  // nothing is sent or received any more

    // The request.
    Http2Head lines;
    RequestHead head;
    Peer peer;
    std::uint64_t started_ns = 0;
    std::size_t kept_bytes = 0;  // of its head
    bool has_head = false;
    bool has_body = false;   // something followed the head, or will
    bool has_ended = false;  // the whole request is here

    // Its body, where somebody takes it: what has come and is not taken yet.
    std::string arrived;
    std::string body;           // gathered, for a handler that wants it whole
    std::uint64_t dropped = 0;  // of a body that nobody takes
    std::coroutine_handle<> body_waiter;
    loop::Deadline body_deadline;  // of who waits for it, or for its end

    // The answer.
    bool is_answered = false;  // the response is there
    bool is_sent = false;      // and has left, whole
    bool is_filling = false;   // somebody fetches more of it
    bool is_unread = false;    // from a file, else from where it comes from
    bool is_judged = false;    // its reader's pace, from `body_sent_before` on
    bool is_held = false;      // counted as one that holds what its body is made of
    Response response;
    BodySource source;
    std::string names;  // of its fields, in lower case
    std::uint64_t body_sent = 0;
    std::uint64_t body_sent_before = 0;
    std::uint64_t first_byte_ns = 0;
};

}  // namespace tidepool::http
