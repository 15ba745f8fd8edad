// A head that comes in pieces is read as one that comes at once; an accepted one holds nothing that
// another reader could take otherwise; and a body ends where it ends, however it is cut.
#include "proxy/http/body_reader.h"
#include "proxy/http/request.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using namespace tidepool::http;

constexpr HeadLimits kLimits{.request_line_bytes = 300, .header_bytes = 2000, .fields = 12};

void require(bool holds) {
    if (!holds) std::abort();
}

void check_accepted(const RequestHead& head, std::string_view bytes) {
    require(bytes.ends_with("\r\n\r\n"));
    require(bytes.size() <= kLimits.header_bytes);
    // Each line feed ends a line, and no carriage return or NUL stands alone.
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        require(bytes[i] != '\0');
        if (bytes[i] == '\n') require(i > 0 && bytes[i - 1] == '\r');
        if (bytes[i] == '\r') require(bytes[i + 1] == '\n');
    }
    require(head.fields.size() <= kLimits.fields);
    require(head.count(Known::host) <= 1);
    require(head.minor_version == 0 || head.count(Known::host) == 1);
    require(!(head.chunked && head.count(Known::content_length) > 0));
    require(head.count(Known::content_length) <= 1);
    require(head.count(Known::transfer_encoding) == (head.chunked ? 1U : 0U));
    require(head.path.empty() || head.path.front() == '/' || head.path == "*");
    for (const Field& field : head.fields) {
        require(!field.name.empty() &&
                field.name.find_first_of(" \t:\r\n") == std::string_view::npos);
        require(field.value.find_first_of("\r\n") == std::string_view::npos);
        require(field.value.empty() || (field.value.front() != ' ' && field.value.back() != ' '));
    }
}

// Feeds `body` in pieces of `step` bytes; returns how many bytes of it are the body's, or -1.
std::ptrdiff_t body_bytes(const RequestHead& head, std::string_view body, std::size_t step,
                          BodyReader::Outcome& outcome) {
    BodyReader reader(head);
    std::size_t fed = 0;
    while (fed < body.size()) {
        const std::string_view piece = body.substr(fed, step);
        outcome = reader.feed(piece);
        fed += piece.size();
        if (outcome == BodyReader::Outcome::malformed) return -1;
        if (outcome == BodyReader::Outcome::complete) {
            require(reader.left_over() <= piece.size());
            return static_cast<std::ptrdiff_t>(fed - reader.left_over());
        }
    }
    return -1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const std::size_t step = data[0] % 64 + 1;
    const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

    RequestHead head;
    HeadScanner whole;
    const HeadScanner::Outcome outcome = whole.scan(bytes, kLimits, head);

    RequestHead pieced_head;
    HeadScanner pieced;
    HeadScanner::Outcome pieced_outcome = HeadScanner::Outcome::incomplete;
    for (std::size_t end = 0;
         pieced_outcome == HeadScanner::Outcome::incomplete && end < bytes.size();) {
        end = std::min(end + step, bytes.size());
        pieced_outcome = pieced.scan(std::string_view(bytes).substr(0, end), kLimits, pieced_head);
    }
    if (bytes.empty()) return 0;
    require(pieced_outcome == outcome);
    if (outcome == HeadScanner::Outcome::refused) {
        // Which of two limits is hit first may depend on how much came at once; everything else
        // not.
        const auto is_limit = [](Refusal refusal) {
            return refusal == Refusal::request_line_too_long ||
                   refusal == Refusal::headers_too_large;
        };
        require(pieced.refusal() == whole.refusal() || is_limit(whole.refusal()) ||
                is_limit(pieced.refusal()));
    }
    if (outcome != HeadScanner::Outcome::complete) return 0;
    require(pieced.head_bytes() == whole.head_bytes());
    require(pieced_head.target == head.target && pieced_head.fields.size() == head.fields.size());
    require(pieced_head.content_length == head.content_length);
    check_accepted(head, std::string_view(bytes).substr(0, whole.head_bytes()));

    if (!head.has_body()) return 0;
    const std::string_view body = std::string_view(bytes).substr(whole.head_bytes());
    BodyReader::Outcome at_once = BodyReader::Outcome::incomplete;
    BodyReader::Outcome in_pieces = BodyReader::Outcome::incomplete;
    const std::ptrdiff_t bytes_at_once =
        body_bytes(head, body, std::max<std::size_t>(body.size(), 1), at_once);
    const std::ptrdiff_t bytes_in_pieces = body_bytes(head, body, step, in_pieces);
    require(at_once == in_pieces && bytes_at_once == bytes_in_pieces);
    if (at_once == BodyReader::Outcome::complete && !head.chunked)
        require(bytes_at_once == static_cast<std::ptrdiff_t>(head.content_length));
    return 0;
}
