// Reads a form with files, multipart/form-data (RFC 7578; RFC 2046, 5.1), in whatever pieces it
// arrives. Pure.
#pragma once

#include "proxy/upload/part_head.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::upload {

// More of either lets a client make us keep and read more that is no content.
struct MultipartLimits {
    std::size_t head_bytes = 8192;  // of one part, the empty line at its end included
    std::size_t parts = 32;
};

// One form. Its memory does not grow with the contents: they are shown where they are. Not shared
// between threads.
//
// It is strict where readers could differ: lines end with CRLF, and a boundary counts only with
// blanks and CRLF behind it, or with "--". All that is before the first and behind the last one is
// skipped.
class MultipartReader {
  public:
    enum class Event : std::uint8_t {
        need_more,   // all of the input has been read
        part_begin,  // head() says of which field
        content,     // content(), never empty, is the next of the part's bytes
        part_end,
        end,    // the closing boundary; what follows is skipped
        error,  // error() says why this is no such form; it stays at that
    };

    // `boundary` as from boundary_of.
    explicit MultipartReader(std::string_view boundary, MultipartLimits limits = {});

    // Reads from the front of `input` to the next event, and takes what it has read from it. The
    // events are the same however the form is cut into inputs, but for where contents are cut.
    Event next(std::string_view& input);

    // Of the part that began last.
    const PartHead& head() const { return head_; }
    // In the input, or in the reader; until the next call.
    std::string_view content() const { return content_; }
    // For the client: names the part, and nothing of ours.
    const std::string& error() const { return error_; }
    // True once the closing boundary was there. A form that ends before is cut off.
    bool finished() const { return state_ == State::epilogue; }

  private:
    enum class State : std::uint8_t { preamble, head, content, delimited, epilogue, failed };
    enum class Verdict : std::uint8_t { open, delimiter, closing, none };

    std::optional<Event> search(std::string_view& input);
    std::optional<Event> pass(std::string_view bytes);
    std::optional<Event> decide(std::string_view& input);
    std::size_t bytes_before_candidate(std::string_view input) const;
    Verdict judge(char next) const;
    Event read_head(std::string_view& input);
    Event begin_part();
    Event fail_with(std::string what);

    const std::string delimiter_;  // CRLF, two hyphens and the boundary
    const MultipartLimits limits_;
    State state_ = State::preamble;
    std::size_t parts_ = 0;  // begun, the one whose head is being read included
    std::size_t preamble_bytes_ = 0;
    bool closing_ = false;  // the delimiter found last

    // What may be a delimiter, from its CR on, until that is decided. The first `borrowed_` bytes
    // of it belong to what was before and are no content.
    std::string held_;
    std::size_t borrowed_ = 0;
    std::string released_;  // was held, and is content
    std::string head_text_;

    PartHead head_;
    std::string_view content_;
    std::string error_;
};

}  // namespace tidepool::upload
