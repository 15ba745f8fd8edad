// The body of a request over HTTP/2.
#pragma once

#include "proxy/http/handler.h"
#include "proxy/http/http2_connection.h"
#include "proxy/http/http2_stream.h"
#include "proxy/loop/task.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace tidepool::http {

// For a handler that takes it as it comes, or for who gathers it. What is not taken closes the
// stream's window, so that who takes it slowly holds its sender back. Lives within a coroutine that
// holds the stream.
class Http2Body final : public BodyStream {
  public:
    // `is_streamed`: by a handler that takes it as it comes; it may be long, and is judged by its
    // pace. Else it has to be there as soon as a head.
    Http2Body(Http2Connection& connection, Http2Stream& stream, bool is_streamed);
    // What was not taken may come again, to be dropped.
    ~Http2Body();
    Http2Body(const Http2Body&) = delete;
    Http2Body& operator=(const Http2Body&) = delete;

    loop::Task<std::expected<std::string_view, Refusal>> next() override;

  private:
    bool has_more() const;
    bool is_over() const;
    loop::Task<bool> wait();

    Http2Connection& connection_;
    Http2Stream& stream_;
    std::string piece_;            // that has come
    std::size_t at_ = 0;           // what was taken of it
    std::size_t given_ = 0;        // behind that: what is being taken
    std::uint64_t in_window_ = 0;  // bytes
    std::uint64_t waited_ms_ = 0;  // in the window
    const bool is_streamed_;
    std::uint64_t until_ms_ = 0;  // of one that is not streamed
    bool has_begun_ = false;
    bool is_wide_ = false;  // its window
};

}  // namespace tidepool::http
