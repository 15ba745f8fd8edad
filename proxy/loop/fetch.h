// HTTP requests to origins from a loop: libcurl's multi interface, told as awaitables.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/precise_timer.h"
#include "proxy/loop/task.h"

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct curl_slist;  // NOLINT(readability-identifier-naming): the name is libcurl's

namespace tidepool::loop {

struct FetchRequest {
    std::string url;  // sent as it is: nothing is normalised, redirects are answers
    std::vector<std::string> fields{};  // "Name: value"
    std::chrono::milliseconds connect_timeout{5'000};
    // From the request to the answer's head, beside connect_timeout.
    std::chrono::milliseconds first_byte_timeout{15'000};
    std::chrono::milliseconds stall_timeout{15'000};  // without a byte in the body
    bool fresh_connection = false;                    // reuse none: the last one led to a sick host
    std::uint64_t expected_bytes =
        UINT64_MAX;  // of the body, about: so large is what it is read into
};

struct FetchedHead {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> fields;  // names in lower case, in order

    // The first field of this name, "" where there is none.
    std::string_view field(std::string_view name) const;
};

class Fetch;

// What a loop's fetches share: connections, names that were looked up. Loop thread only; outlives
// its fetches. Names are looked up on threads of libcurl's.
class Fetcher {
  public:
    // At most so many connections to one host; further requests wait for one, in order.
    Fetcher(Loop& loop, unsigned connections_per_host);
    ~Fetcher();
    Fetcher(const Fetcher&) = delete;
    Fetcher& operator=(const Fetcher&) = delete;

  private:
    friend class Fetch;
    struct Hooks;  // libcurl's callbacks
    struct SocketWatch;
    // A scheme, host and port of URLs.
    struct Host {
        unsigned running = 0;        // fetches that libcurl has
        std::deque<Fetch*> waiting;  // that wait for one of these to end
    };

    Host& host_of(std::string_view url);
    void* take_handle();
    void drop(int fd);
    void act(int fd, int events);
    void take_finished();
    void wake_waiters();
    void set_timer(long wait_ms);

    Loop& loop_;
    const unsigned connections_per_host_;
    void* multi_;                                     // CURLM
    std::map<std::string, Host, std::less<>> hosts_;  // as many as settings name
    std::map<int, std::unique_ptr<SocketWatch>> watches_;
    std::vector<std::unique_ptr<SocketWatch>> old_watches_;  // may be running: freed later
    PreciseTimer timer_;
    bool due_now_ = false;      // it has asked to be called at once
    std::vector<Fetch*> news_;  // whose waiters shall go on
    std::vector<void*> idle_;   // CURL handles to use again
};

// One GET and its answer, from construction to the last byte or to destruction, which drops it. At
// most one coroutine waits for it at a time. Loop thread only.
class Fetch {
  public:
    // Begins as soon as it has a connection. At most about `buffer_bytes` of the body are held
    // here; then the origin is made to wait, which is no stall.
    Fetch(Fetcher& fetcher, FetchRequest request, std::size_t buffer_bytes);
    ~Fetch();
    Fetch(const Fetch&) = delete;
    Fetch& operator=(const Fetch&) = delete;

    // Ends it, failed with ErrorKind::closed; from the loop, not from a coroutine that awaits it.
    void cancel();

    // The answer's head. timed_out; io where the origin could not be reached or what it said is not
    // HTTP; misconfigured where the URL is none or the origin's certificate is not good; busy where
    // no connection became free for it, of which the origin knows nothing.
    Task<Result<FetchedHead>> head();

    // What has come of the body since the last call; waits where that is nothing; "" at its end.
    // After head(). timed_out, or io where it broke before its end.
    Task<Result<std::string>> read();

  private:
    friend class Fetcher;
    friend struct Fetcher::Hooks;

    struct News {
        Fetch& fetch;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> waiter) noexcept { fetch.waiter_ = waiter; }
        void await_resume() const noexcept {}
    };

    void begin();
    void leave_host();
    void tell();
    void expect_within(std::chrono::milliseconds wait);
    void time_out();
    void end(std::optional<Error> error, bool is_complete = false);
    std::size_t take_line(std::string_view line);
    std::size_t take_bytes(std::string_view bytes);

    Fetcher& fetcher_;
    Fetcher::Host& host_;
    const FetchRequest request_;
    void* easy_ = nullptr;                      // CURL; null before it begins and once it is done
    std::unique_ptr<curl_slist[]> field_list_;  // over the request's fields
    std::size_t buffer_bytes_;
    FetchedHead head_;
    std::size_t head_bytes_ = 0;  // of all that came before the body
    std::string buffer_;
    bool waiting_ = false;  // for a connection
    bool head_complete_ = false;
    bool paused_ = false;
    bool ended_ = false;
    std::optional<Error> error_;
    std::coroutine_handle<> waiter_;
    Deadline deadline_;
};

}  // namespace tidepool::loop
