// Reads a request's body: to find its end, and its content where somebody wants it.
#pragma once

#include "proxy/http/request.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::http {

// Follows one body through llhttp, which knows chunked framing. How long the body is was decided by
// HeadScanner alone.
class BodyReader {
  public:
    enum class Outcome : std::uint8_t { incomplete, complete, malformed };

    // What the body says is added to `content`, which outlives this; null: it is dropped.
    explicit BodyReader(const RequestHead& head, std::string* content = nullptr);
    ~BodyReader();
    BodyReader(const BodyReader&) = delete;
    BodyReader& operator=(const BodyReader&) = delete;

    // Takes what came next. After `complete`, the last left_over() bytes of it belong to the next
    // request.
    Outcome feed(std::string_view data);
    std::size_t left_over() const { return left_over_; }

  private:
    struct Parser;

    std::unique_ptr<Parser> parser_;
    Outcome outcome_ = Outcome::incomplete;
    std::size_t left_over_ = 0;
};

}  // namespace tidepool::http
