// A request's head, and reading it strictly. Pure.
//
// The scanner accepts only what RFC 9112 allows a sender to write; the leniencies it grants
// recipients (bare line feeds, folded lines, blanks before a colon, two equal lengths) are refused,
// because two readers who are lenient in different ways are how requests are smuggled.
#pragma once

#include "proxy/http/refusal.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::http {

enum class Method : std::uint8_t { get, head, options, other };

struct Field {
    std::string_view name;   // as sent
    std::string_view value;  // without the blanks around it
};

// Fields that are looked up for every request; the scanner notes where they stand.
enum class Known : std::uint8_t {
    host,
    connection,
    content_length,
    transfer_encoding,
    expect,
    range,
    if_range,
    if_match,
    if_none_match,
    if_modified_since,
    if_unmodified_since,
    referer,
    user_agent,
    cf_ray,
    cdn_loop,
};
inline constexpr std::size_t kKnownFields = static_cast<std::size_t>(Known::cdn_loop) + 1;

// All views point into the buffer that was scanned.
struct RequestHead {
    Method method = Method::other;
    std::string_view method_text;
    std::string_view target;  // as sent
    std::string_view path;  // of the target, without scheme and host, before '?'; "*" for OPTIONS *
    std::string_view query;  // behind '?', without it
    int major_version = 1;
    int minor_version = 1;
    bool keep_alive = true;
    bool expects_continue = false;
    bool chunked = false;
    std::uint64_t content_length = 0;
    std::vector<Field> fields;
    std::string_view body{};  // its content, where the handler wanted it

    bool has_body() const { return chunked || content_length > 0; }

    // How often the field was sent, and its value where that was once; "" otherwise.
    unsigned count(Known field) const { return slots_[static_cast<std::size_t>(field)].count; }
    std::string_view single(Known field) const {
        const Slot& slot = slots_[static_cast<std::size_t>(field)];
        return slot.count == 1 ? fields[slot.index].value : std::string_view();
    }
    // A list field's value; where it was sent several times its values joined by ", " (RFC
    // 9110, 5.3), in `joined`.
    std::string_view list(Known field, std::string& joined) const;
    // The value of any other field that was sent exactly once; "" otherwise. The name's case does
    // not matter.
    std::string_view single(std::string_view name) const;

    void clear();
    void add(const Field& field);

  private:
    struct Slot {
        std::uint16_t count = 0;
        std::uint16_t index = 0;
    };
    std::array<Slot, kKnownFields> slots_{};
};

struct HeadLimits {
    std::size_t request_line_bytes = 16 * 1024;
    std::size_t header_bytes = 128 * 1024;
    unsigned fields = 200;
};

// Finds and reads one head at the front of a buffer that grows. Remembers how far it has looked, so
// that a head that comes byte by byte costs no more than one that comes at once.
class HeadScanner {
  public:
    enum class Outcome : std::uint8_t { incomplete, complete, refused };

    // `data` starts at the request's first byte and only grows between calls until the outcome is
    // not `incomplete`. After `refused`, `refusal()` says why, and `head` holds the method and
    // target where they could still be read.
    Outcome scan(std::string_view data, const HeadLimits& limits, RequestHead& head);

    std::size_t head_bytes() const { return end_; }
    Refusal refusal() const { return refusal_; }
    void reset();

  private:
    Outcome refuse(Refusal refusal) {
        refusal_ = refusal;
        return Outcome::refused;
    }

    std::size_t looked_ = 0;                // bytes known to hold no end of the head
    std::size_t line_start_ = 0;            // of the line that is being looked at
    std::vector<std::uint32_t> line_ends_;  // where the carriage return of each whole line stands
    std::size_t end_ = 0;
    Refusal refusal_ = Refusal::bad_request_line;
};

}  // namespace tidepool::http
