// Reads a body: to find its end, and its content where somebody wants it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::http {

// How a body's end is found.
struct BodyFraming {
    bool chunked = false;
    std::uint64_t content_length = 0;  // where it is not chunked
};

// Follows one body through llhttp, which knows chunked framing. How long the body is was decided by
// who read the head, alone.
class BodyReader {
  public:
    enum class Outcome : std::uint8_t { incomplete, complete, malformed };

    // What the body says is added to `content`, which outlives this; null: it is dropped.
    explicit BodyReader(BodyFraming framing, std::string* content = nullptr);
    ~BodyReader();
    BodyReader(const BodyReader&) = delete;
    BodyReader& operator=(const BodyReader&) = delete;

    // Takes what came next. After `complete`, the last left_over() bytes of it belong to the next
    // message.
    Outcome feed(std::string_view data);
    std::size_t left_over() const { return left_over_; }

  private:
    struct Parser;

    std::unique_ptr<Parser> parser_;
    Outcome outcome_ = Outcome::incomplete;
    std::size_t left_over_ = 0;
};

}  // namespace tidepool::http
