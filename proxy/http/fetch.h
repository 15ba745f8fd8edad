// HTTP/1.1 requests to origins from a loop.
#pragma once

#include "conf/error.h"
#include "proxy/http/answer_head.h"
#include "proxy/http/body_reader.h"
#include "proxy/http/fetcher.h"
#include "proxy/loop/task.h"

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::http {

struct FetchRequest {
    std::string url;       // sent as it is: nothing is normalised, redirects are answers
    std::string fields{};  // "Name: value\r\n" each; Host is the URL's
    // From having a turn to having a connection, with the look-up of the name and TLS.
    std::chrono::milliseconds connect_timeout{5'000};
    // From the request to the answer's head.
    std::chrono::milliseconds first_byte_timeout{15'000};
    std::chrono::milliseconds stall_timeout{15'000};  // without a byte in the body
    bool fresh_connection = false;                    // reuse none: the last one led to a sick host
};

// One GET and its answer. It does nothing but within head() and read(): between them the origin is
// made to wait, which is no stall. At most one coroutine is in one of them at a time, and none when
// it is destroyed, which drops the connection unless all of the answer was read. Loop thread only.
class Fetch {
  public:
    // read() gives about `piece_bytes` at most.
    Fetch(Fetcher& fetcher, FetchRequest request, std::size_t piece_bytes);
    ~Fetch();
    Fetch(const Fetch&) = delete;
    Fetch& operator=(const Fetch&) = delete;

    // What waits for it is failed with ErrorKind::closed, from the loop. From the bottom of the
    // stack, not from a coroutine.
    void cancel();

    // Sends the request and gives the answer's head, once. A kept connection that turns out to have
    // been ended by the origin is replaced by a new one. timed_out; io where the origin could not
    // be reached or what it said is not HTTP; misconfigured where the URL is none or the origin's
    // certificate is not good; busy where no connection became free for it, of which the origin
    // knows nothing.
    loop::Task<Result<AnswerHead>> head();

    // What has come of the body since the last call, and all of it where that is one piece; waits
    // where nothing has; "" at its end. After head(). timed_out, or io where it broke before its
    // end, once all that came was given.
    loop::Task<Result<std::string>> read();

    // What has come of the body beside what read() gave, which is lost with this.
    std::uint64_t unread_bytes() const;

  private:
    // Waits for tell().
    struct News {
        Fetch& fetch;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) noexcept { fetch.waiter_ = waiter; }
        void await_resume() const noexcept {}
    };
    static void told(void* self) { static_cast<Fetch*>(self)->tell(); }

    void tell();
    void time_out();
    std::optional<Error> interrupted(const char* late) const;
    Error error_of(loop::Wake wake, const char* late) const;
    void set_deadline(std::chrono::milliseconds wait);
    loop::Task<std::optional<Error>> wait_for_turn();
    loop::Task<std::optional<Error>> connect();
    loop::Task<std::optional<Error>> find_addresses();
    loop::Task<std::optional<Error>> exchange();
    std::string request_text() const;
    Result<bool> take_head(std::string_view bytes);
    void begin_body(std::string_view bytes);
    loop::Step take_body();
    loop::Step take_length();
    loop::Step take_chunks();
    void feed_chunks(std::string_view bytes);
    void end(std::optional<Error> error);

    Fetcher& fetcher_;
    const FetchRequest request_;
    const std::optional<UrlParts> url_;  // of the request's
    const std::size_t piece_bytes_;
    Fetcher::Origin* origin_ = nullptr;  // where it has a turn
    bool has_turn_ = false;              // was given one by another fetch
    std::unique_ptr<loop::Stream> stream_;

    // Of the head.
    bool answer_begun_ = false;   // a byte has come
    std::string unparsed_;        // as long as it is not whole
    std::size_t head_bytes_ = 0;  // of this and all that came before it
    AnswerHead head_;

    // Of the body.
    AnswerHead::Framing framing_ = AnswerHead::Framing::none;
    bool keeps_alive_ = false;
    bool is_one_piece_ = false;
    std::uint64_t left_ = 0;            // bytes that have not come; with Framing::length
    std::optional<BodyReader> chunks_;  // with Framing::chunked
    bool ended_ = false;                // no more comes; without an error_ it is whole
    std::optional<Error> error_;
    std::string body_;  // that has come and was not asked for yet

    bool cancelled_ = false;
    bool overdue_ = false;
    std::coroutine_handle<> waiter_;
    loop::Deadline deadline_;  // while it has no stream
};

}  // namespace tidepool::http
