// The head of an HTTP/1.1 answer: what an origin says before the body.
#pragma once

#include "conf/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::http {

// Owns its text: what it shows of it is good until it is moved.
class AnswerHead {
  public:
    // How the end of the body is found (RFC 9112, 6.3).
    enum class Framing : std::uint8_t { none, length, chunked, until_close };

    // Reads a head, from the status line to the empty line. ErrorKind::io for what is not a head
    // that a server of HTTP/1 may send, or leaves in doubt where its body ends.
    static Result<AnswerHead> parse(std::string_view text);

    // False where `text` cannot become a head, however much follows.
    static bool may_begin(std::string_view text);

    int status() const { return status_; }
    // The first field of this name (in lower case), "" where there is none.
    std::string_view field(std::string_view name) const;
    std::size_t field_count() const { return fields_.size(); }

    Framing framing() const { return framing_; }
    // With Framing::length.
    std::uint64_t content_length() const { return content_length_; }
    // The connection may be used again after the body.
    bool keeps_alive() const { return keeps_alive_; }

  private:
    struct Field {
        std::uint32_t name, name_end, value, value_end;  // places in text_
    };
    std::string_view part(std::uint32_t begin, std::uint32_t end) const {
        return std::string_view(text_).substr(begin, end - begin);
    }
    std::string_view name_of(const Field& field) const { return part(field.name, field.name_end); }
    std::string_view value_of(const Field& field) const {
        return part(field.value, field.value_end);
    }
    bool read_status_line(std::size_t end);
    bool read_field(std::size_t begin, std::size_t end);
    bool find_framing();

    std::string text_;  // names in lower case
    std::vector<Field> fields_;
    int status_ = 0;
    bool is_1_0_ = false;
    bool keeps_alive_ = false;
    Framing framing_ = Framing::none;
    std::uint64_t content_length_ = 0;
};

}  // namespace tidepool::http
