#include "proxy/http/http2_body.h"

#include <algorithm>
#include <coroutine>
#include <utility>

namespace tidepool::http {

namespace {

// What is handed on at once.
constexpr std::size_t kBodyPiece = 32ULL * 1024;

// Until the connection, or the stream's deadline, resumes it.
struct BodyWait {
    Http2Stream& stream;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) const { stream.body_waiter = waiter; }
    void await_resume() const noexcept {}
};

}  // namespace

Http2Body::Http2Body(Http2Connection& connection, Http2Stream& stream, bool is_streamed)
    : connection_(connection), stream_(stream), is_streamed_(is_streamed) {
    const Server& server = connection.server_;
    until_ms_ = server.loop_.now_ms() + count_ms(server.rules_.timeouts.header);
}

Http2Body::~Http2Body() {
    if (is_wide_) connection_.narrow();
    if (at_ < piece_.size()) connection_.consume(stream_, piece_.size() - at_);
}

bool Http2Body::is_over() const {
    return stream_.has_ended || stream_.is_closed || connection_.is_ended_;
}

bool Http2Body::has_more() const {
    return !stream_.arrived.empty() || is_over();
}

loop::Task<std::expected<std::string_view, Refusal>> Http2Body::next() {
    if (!std::exchange(has_begun_, true)) {
        is_wide_ = is_streamed_ && connection_.widen(stream_);
        if (!has_more()) connection_.allow_body(stream_);
    }
    if (given_ > 0) {
        at_ += given_;
        connection_.consume(stream_, std::exchange(given_, 0));
    }
    while (at_ == piece_.size()) {
        piece_.clear();
        at_ = 0;
        piece_.swap(stream_.arrived);
        if (!piece_.empty()) break;
        if (stream_.has_ended) co_return std::string_view();
        if (is_over()) co_return std::unexpected(Refusal::bad_content_length);
        if (!co_await wait()) co_return std::unexpected(Refusal::body_timeout);
    }
    // As over HTTP/1.1: behind everything that is ready and shorter.
    co_await connection_.server_.loop_.stand_back();
    given_ = std::min(piece_.size() - at_, kBodyPiece);
    co_return std::string_view(piece_).substr(at_, given_);
}

// False: the sender is too slow.
loop::Task<bool> Http2Body::wait() {
    const conf::TimeoutSettings& timeouts = connection_.server_.rules_.timeouts;
    const std::uint64_t window_ms = count_ms(timeouts.receive_window);
    const std::uint64_t least =
        std::max<std::uint64_t>(timeouts.min_receive_rate * window_ms / 1000, 1);
    while (!has_more()) {
        // What time we took ourselves since it was last waited for is not the sender's.
        const std::uint64_t since_ms = connection_.server_.loop_.now_ms();
        stream_.body_deadline.set(
            is_streamed_ ? since_ms + window_ms - std::min(waited_ms_, window_ms) : until_ms_);
        co_await BodyWait{stream_};
        stream_.body_deadline.clear();
        const std::uint64_t now_ms = connection_.server_.loop_.now_ms();
        if (!is_streamed_) {
            if (now_ms >= until_ms_ && !has_more()) co_return false;
            continue;
        }
        waited_ms_ += now_ms - since_ms;
        in_window_ += stream_.arrived.size();
        if (waited_ms_ < window_ms) continue;
        if (timeouts.min_receive_rate > 0 && in_window_ < least) co_return false;
        waited_ms_ = in_window_ = 0;
    }
    co_return true;
}

}  // namespace tidepool::http
