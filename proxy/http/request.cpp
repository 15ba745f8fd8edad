#include "proxy/http/request.h"

#include "conf/ascii.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace tidepool::http {

namespace {

// RFC 9110, 5.6.2.
constexpr std::array<bool, 256> token_table() {
    std::array<bool, 256> table{};
    for (int c = '0'; c <= '9'; ++c)
        table[static_cast<std::size_t>(c)] = true;
    for (int c = 'a'; c <= 'z'; ++c)
        table[static_cast<std::size_t>(c)] = true;
    for (int c = 'A'; c <= 'Z'; ++c)
        table[static_cast<std::size_t>(c)] = true;
    for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
        table[static_cast<unsigned char>(c)] = true;
    return table;
}
constexpr std::array<bool, 256> kToken = token_table();

bool is_token(std::string_view text) {
    if (text.empty()) return false;
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

// Written without an early exit, so that the compiler can look at many bytes at a time.
bool is_field_value(std::string_view text) {
    unsigned bad = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        bad |= static_cast<unsigned>(byte < 0x20) & static_cast<unsigned>(byte != '\t');
        bad |= static_cast<unsigned>(byte == 0x7F);
    }
    return bad == 0;
}

// Visible ASCII and, since browsers and edges pass raw UTF-8 on, any byte above it. No fragment.
bool is_target(std::string_view text) {
    unsigned bad = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        bad |= static_cast<unsigned>(byte <= 0x20) | static_cast<unsigned>(byte == 0x7F) |
               static_cast<unsigned>(byte == '#');
    }
    return bad == 0 && !text.empty();
}

bool equal_ignoring_case(std::string_view a, std::string_view lower_case) {
    if (a.size() != lower_case.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const char c = a[i];
        const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
        if (low != lower_case[i]) return false;
    }
    return true;
}

std::optional<Known> known_field(std::string_view name) {
    const auto is = [&](std::string_view lower_case, Known field) -> std::optional<Known> {
        if (equal_ignoring_case(name, lower_case)) return field;
        return std::nullopt;
    };
    switch (name.size()) {
        case 4:
            return is("host", Known::host);
        case 5:
            return is("range", Known::range);
        case 6:
            if (auto field = is("expect", Known::expect)) return field;
            return is("cf-ray", Known::cf_ray);
        case 7:
            return is("referer", Known::referer);
        case 8:
            if (auto field = is("if-match", Known::if_match)) return field;
            if (auto field = is("cdn-loop", Known::cdn_loop)) return field;
            return is("if-range", Known::if_range);
        case 10:
            if (auto field = is("connection", Known::connection)) return field;
            return is("user-agent", Known::user_agent);
        case 13:
            return is("if-none-match", Known::if_none_match);
        case 14:
            return is("content-length", Known::content_length);
        case 17:
            if (auto field = is("if-modified-since", Known::if_modified_since)) return field;
            return is("transfer-encoding", Known::transfer_encoding);
        case 19:
            return is("if-unmodified-since", Known::if_unmodified_since);
        default:
            return std::nullopt;
    }
}

Method method_of(std::string_view text) {
    if (text == "GET") return Method::get;
    if (text == "HEAD") return Method::head;
    if (text == "OPTIONS") return Method::options;
    return Method::other;
}

using Verdict = std::optional<Refusal>;

Verdict read_version(std::string_view text, RequestHead& head) {
    if (text == "HTTP/1.1") {
        head.minor_version = 1;
    } else if (text == "HTTP/1.0") {
        head.minor_version = 0;
    } else {
        const bool other_version = text.size() == 8 && text.starts_with("HTTP/") && text[6] == '.';
        return other_version ? Refusal::bad_version : Refusal::bad_request_line;
    }
    head.keep_alive = head.minor_version == 1;
    return std::nullopt;
}

// Origin-form, absolute-form, or "*" with OPTIONS (RFC 9112, 3.2). Sets path and query.
Verdict read_target(RequestHead& head) {
    std::string_view rest = head.target;
    if (rest == "*") {
        head.path = rest;
        return head.method == Method::options ? Verdict() : Refusal::bad_target;
    }
    if (rest.front() != '/') {
        const std::size_t colon = rest.find("://");
        if (colon == std::string_view::npos) {
            return head.method_text == "CONNECT" ? Verdict() : Refusal::bad_target;
        }
        const std::string_view scheme = rest.substr(0, colon);
        if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https"))
            return Refusal::bad_target;
        rest.remove_prefix(colon + 3);
        const std::size_t path_start = rest.find_first_of("/?");
        if (path_start == 0 || rest.empty()) return Refusal::bad_target;  // no host
        rest =
            path_start == std::string_view::npos ? std::string_view("/") : rest.substr(path_start);
        if (rest.front() == '?') {
            head.path = "/";
            head.query = rest.substr(1);
            return std::nullopt;
        }
    }
    const std::size_t question = std::min(rest.find('?'), rest.size());
    head.path = rest.substr(0, question);
    head.query = question < rest.size() ? rest.substr(question + 1) : std::string_view();
    return std::nullopt;
}

Verdict read_request_line(std::string_view line, RequestHead& head) {
    const std::size_t first = line.find(' ');
    const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos) return Refusal::bad_request_line;
    head.method_text = line.substr(0, first);
    if (!is_token(head.method_text)) return Refusal::bad_request_line;
    head.method = method_of(head.method_text);
    head.target = line.substr(first + 1, second - first - 1);
    if (!is_target(head.target)) return Refusal::bad_target;
    if (const Verdict bad = read_version(line.substr(second + 1), head)) return bad;
    return read_target(head);
}

Verdict read_field(std::string_view line, RequestHead& head) {
    if (line.front() == ' ' || line.front() == '\t') return Refusal::folded_field;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Refusal::bad_field_name;
    const Field field{line.substr(0, colon), conf::trim(line.substr(colon + 1))};
    if (!is_token(field.name))
        return Refusal::bad_field_name;  // also catches a blank before the colon
    if (!is_field_value(field.value)) return Refusal::bad_field_value;
    head.add(field);
    return std::nullopt;
}

bool is_host(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return alphanumeric ||
               std::string_view("-._~:[]%!$&'()*+;=").find(c) != std::string_view::npos;
    });
}

Verdict read_host(const RequestHead& head) {
    const unsigned hosts = head.count(Known::host);
    if (hosts > 1 || (hosts == 0 && head.minor_version == 1)) return Refusal::bad_host;
    if (!is_host(head.single(Known::host))) return Refusal::bad_host;
    return std::nullopt;
}

void read_connection(RequestHead& head) {
    std::string joined;
    std::string_view list = head.list(Known::connection, joined);
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view option = conf::trim(list.substr(0, comma));
        if (equal_ignoring_case(option, "close")) {
            head.keep_alive = false;
            return;
        }
        if (head.minor_version == 0 && equal_ignoring_case(option, "keep-alive"))
            head.keep_alive = true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
}

// How long the body is (RFC 9112, 6). Only the forms that leave no room for two opinions.
Verdict read_body_length(RequestHead& head) {
    const unsigned lengths = head.count(Known::content_length);
    const unsigned encodings = head.count(Known::transfer_encoding);
    if (lengths > 0 && encodings > 0) return Refusal::length_with_transfer_encoding;
    if (lengths > 1) return Refusal::two_content_lengths;
    if (encodings > 0) {
        const bool chunked = equal_ignoring_case(head.single(Known::transfer_encoding), "chunked");
        if (!chunked || head.minor_version == 0) return Refusal::bad_transfer_encoding;
        head.chunked = true;
    }
    if (lengths == 1) {
        const std::string_view text = head.single(Known::content_length);
        if (text.empty() || text.size() > 18) return Refusal::bad_content_length;
        for (const char c : text) {
            if (c < '0' || c > '9') return Refusal::bad_content_length;
            head.content_length = head.content_length * 10 + static_cast<std::uint64_t>(c - '0');
        }
    }
    return std::nullopt;
}

Verdict read_expect(RequestHead& head) {
    if (head.count(Known::expect) == 0) return std::nullopt;
    if (!equal_ignoring_case(head.single(Known::expect), "100-continue"))
        return Refusal::expectation;
    head.expects_continue = head.minor_version == 1;
    return std::nullopt;
}

Verdict read_meaning(RequestHead& head) {
    if (const Verdict bad = read_host(head)) return bad;
    if (const Verdict bad = read_body_length(head)) return bad;
    if (head.count(Known::connection) > 0) read_connection(head);
    return read_expect(head);
}

}  // namespace

void RequestHead::clear() {
    fields.clear();
    std::vector<Field> kept = std::move(fields);
    *this = RequestHead();
    fields = std::move(kept);
}

void RequestHead::add(const Field& field) {
    if (const auto known = known_field(field.name)) {
        Slot& slot = slots_[static_cast<std::size_t>(*known)];
        if (slot.count == 0) slot.index = static_cast<std::uint16_t>(fields.size());
        ++slot.count;
    }
    fields.push_back(field);
}

std::string_view RequestHead::list(Known field, std::string& joined) const {
    const Slot& slot = slots_[static_cast<std::size_t>(field)];
    if (slot.count == 0) return {};
    if (slot.count == 1) return fields[slot.index].value;
    joined.clear();
    for (const Field& candidate : fields) {
        if (known_field(candidate.name) != field) continue;
        if (!joined.empty()) joined += ", ";
        joined += candidate.value;
    }
    return joined;
}

std::string_view RequestHead::single(std::string_view name) const {
    std::string_view found;
    unsigned times = 0;
    for (const Field& field : fields) {
        const bool same =
            field.name.size() == name.size() &&
            std::equal(name.begin(), name.end(), field.name.begin(), [](char a, char b) {
                return a == b || ((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
            });
        if (!same) continue;
        found = field.value;
        ++times;
    }
    return times == 1 ? found : std::string_view();
}

void HeadScanner::reset() {
    looked_ = line_start_ = end_ = 0;
    line_ends_.clear();  // keeps its memory for the next head
}

HeadScanner::Outcome HeadScanner::scan(std::string_view data, const HeadLimits& limits,
                                       RequestHead& head) {
    // Whoever speaks another protocol, such as TLS, may wait for an answer before he ends a line.
    if (!data.empty() && !kToken[static_cast<unsigned char>(data.front())])
        return refuse(Refusal::bad_request_line);
    // Find the empty line, and on the way every line feed that does not follow a carriage return.
    while (end_ == 0) {
        const std::size_t feed = data.find('\n', looked_);
        const std::size_t line_bytes =
            (feed == std::string_view::npos ? data.size() : feed) - line_start_;
        if (line_ends_.empty() && line_bytes > limits.request_line_bytes + 1) {
            return refuse(Refusal::request_line_too_long);
        }
        if (data.size() > limits.header_bytes &&
            (feed == std::string_view::npos || feed >= limits.header_bytes)) {
            return refuse(Refusal::headers_too_large);
        }
        if (feed == std::string_view::npos) {
            looked_ = data.size();
            return Outcome::incomplete;
        }
        if (feed == line_start_ || data[feed - 1] != '\r') return refuse(Refusal::bare_line_feed);
        if (feed - 1 == line_start_) {
            if (line_ends_.empty()) return refuse(Refusal::bad_request_line);
            end_ = feed + 1;
        } else {
            line_ends_.push_back(static_cast<std::uint32_t>(feed - 1));
        }
        looked_ = line_start_ = feed + 1;
    }

    head.clear();
    if (const Verdict bad = read_request_line(data.substr(0, line_ends_.front()), head))
        return refuse(*bad);
    for (std::size_t i = 1; i < line_ends_.size(); ++i) {
        const std::size_t start = line_ends_[i - 1] + 2;
        if (head.fields.size() >= limits.fields) return refuse(Refusal::too_many_fields);
        if (const Verdict bad = read_field(data.substr(start, line_ends_[i] - start), head))
            return refuse(*bad);
    }
    if (const Verdict bad = read_meaning(head)) return refuse(*bad);
    return Outcome::complete;
}

}  // namespace tidepool::http
