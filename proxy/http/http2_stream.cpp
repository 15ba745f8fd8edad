#include "proxy/http/http2_stream.h"

#include "conf/ascii.h"

namespace tidepool::http {

namespace {

// What a field counts for besides its text (RFC 9113, 6.5.2).
constexpr std::size_t kFieldCost = 32;
// Fields are short when packed and long when unpacked: who sends so many times what is allowed does
// not mean to be answered.
constexpr std::size_t kFloodFactor = 4;

bool has_line_end(std::string_view text) {
    return text.find('\n') != std::string_view::npos || text.find('\r') != std::string_view::npos;
}

}  // namespace

Http2Head::Added Http2Head::add(std::string_view name, std::string_view value) {
    added_ += name.size() + value.size() + kFieldCost;
    if (added_ > kFloodFactor * limits_.header_bytes + kFieldCost * limits_.fields)
        return Added::flood;
    if (added_ > limits_.header_bytes + kFieldCost * limits_.fields) return Added::dropped;
    // nghttp2 lets none through; here one would become a line of its own.
    if (has_line_end(name) || has_line_end(value)) has_line_end_ = true;
    if (name == ":method") {
        method_ = value;
    } else if (name == ":path") {
        path_ = value;
    } else if (name == ":authority") {
        authority_ = value;
    } else if (name == "host" && host_.empty()) {
        host_ = value;
    } else if (!name.starts_with(':')) {
        fields_.append(name).append(": ").append(value).append("\r\n");
    }
    return Added::kept;
}

std::size_t Http2Head::bytes() const {
    return method_.capacity() + path_.capacity() + authority_.capacity() + host_.capacity() +
           fields_.capacity() + text_.capacity();
}

std::optional<Refusal> Http2Head::read(RequestHead& head, bool has_body) {
    if (path_.size() > limits_.request_line_bytes) path_.resize(limits_.request_line_bytes + 2);
    const std::string& target = path_.empty() ? authority_ : path_;  // CONNECT has no path
    text_.reserve(method_.size() + target.size() + authority_.size() + fields_.size() + 64);
    text_.append(method_).append(" ").append(target).append(" HTTP/1.1\r\n");
    // Both are the host, and one only where they agree (RFC 9113, 8.3.1).
    if (!authority_.empty()) text_.append("host: ").append(authority_).append("\r\n");
    if (!host_.empty() && conf::lower_case(host_) != conf::lower_case(authority_))
        text_.append("host: ").append(host_).append("\r\n");
    text_.append(fields_).append("\r\n");
    for (std::string* const part : {&method_, &path_, &authority_, &host_, &fields_})
        free_memory(*part);
    HeadScanner scanner;
    const HeadScanner::Outcome outcome =
        scanner.scan(text_, {limits_.request_line_bytes, text_.size(), limits_.fields}, head);
    head.major_version = 2;
    head.minor_version = 0;
    if (added_ > limits_.header_bytes + kFieldCost * limits_.fields)
        return Refusal::headers_too_large;
    if (has_line_end_) return Refusal::bad_field_value;
    if (outcome != HeadScanner::Outcome::complete) return scanner.refusal();
    // A body whose length is not told comes in frames, which end it.
    if (has_body && head.content_length == 0) head.chunked = true;
    return std::nullopt;
}

}  // namespace tidepool::http
