// Any bytes are a request, the beginning of one, or are refused; which of them does not depend on
// the pieces in which they came. What is accepted can be read in one way only.
#include "proxy/http/body_reader.h"
#include "proxy/http/request.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace tidepool::http;
using tidepool::fuzz::check;

namespace {

// Where the next piece of an input ends.
using Cut = std::function<std::size_t(std::size_t begin)>;

// Pseudo-random pieces; which ones follows from the input, so that a file of the corpus is nothing
// but a request.
class Pieces {
  public:
    explicit Pieces(std::string_view data) : state_(std::hash<std::string_view>()(data)) {}
    std::size_t operator()(std::size_t begin) {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        const std::uint64_t random = state_ >> 33;
        return begin + 1 + (random % 3 == 0 ? random % 200 : random % 7);
    }

  private:
    std::uint64_t state_;
};

struct Scan {
    HeadScanner::Outcome outcome = HeadScanner::Outcome::incomplete;
    std::optional<Refusal> refusal;
    std::size_t head_bytes = 0;
    RequestHead head;
    std::vector<char> memory;  // that the head's views point to
};

// Each look is at memory of its own that is no longer than what has come.
Scan scan(std::string_view data, const HeadLimits& limits, const Cut& cut) {
    Scan result;
    HeadScanner scanner;
    std::size_t come = 0;
    do {
        come = std::min(cut(come), data.size());
        result.memory = std::vector<char>(data.begin(), data.begin() + come);
        result.outcome = scanner.scan({result.memory.data(), come}, limits, result.head);
    } while (result.outcome == HeadScanner::Outcome::incomplete && come < data.size());
    if (result.outcome == HeadScanner::Outcome::refused) result.refusal = scanner.refusal();
    if (result.outcome == HeadScanner::Outcome::complete) result.head_bytes = scanner.head_bytes();
    return result;
}

bool same_fields(const RequestHead& a, const RequestHead& b) {
    return std::ranges::equal(a.fields, b.fields, [](const Field& x, const Field& y) {
        return x.name == y.name && x.value == y.value;
    });
}

void check_same(const Scan& a, const Scan& b) {
    check(a.outcome == b.outcome);
    check(a.refusal == b.refusal);
    check(a.head_bytes == b.head_bytes);
    if (a.outcome == HeadScanner::Outcome::incomplete) return;
    check(a.head.method == b.head.method);
    check(a.head.method_text == b.head.method_text);
    check(a.head.target == b.head.target);
    if (a.outcome == HeadScanner::Outcome::refused) return;
    check(a.head.path == b.head.path);
    check(a.head.query == b.head.query);
    check(a.head.minor_version == b.head.minor_version);
    check(a.head.keep_alive == b.head.keep_alive);
    check(a.head.expects_continue == b.head.expects_continue);
    check(a.head.chunked == b.head.chunked);
    check(a.head.content_length == b.head.content_length);
    check(same_fields(a.head, b.head));
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) {
        const auto low = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        };
        return low(x) == low(y);
    });
}

std::size_t times_sent(const RequestHead& head, std::string_view name) {
    return static_cast<std::size_t>(std::ranges::count_if(
        head.fields, [name](const Field& field) { return same_name(field.name, name); }));
}

void check_target(const RequestHead& head) {
    check(!head.target.empty());
    check(std::ranges::none_of(head.target,
                               [](char c) { return is_control(c) || c == ' ' || c == '#'; }));
    if (head.method_text == "CONNECT" && head.path.empty()) return;
    if (head.path == "*") {
        check(head.method == Method::options);
        return;
    }
    check(head.path.starts_with('/'));
    check(head.path.find('?') == std::string_view::npos);
    const std::string shown = head.target.find('?') == std::string_view::npos
                                  ? std::string(head.path)
                                  : std::string(head.path) + '?' + std::string(head.query);
    if (head.target.starts_with('/')) {
        check(shown == head.target);
    } else {  // http://HOST, where a path of "/" may be left out
        check(head.target.ends_with(shown) || head.path == "/");
        check(head.target.find("://") != std::string_view::npos);
    }
}

void check_framing(const RequestHead& head) {
    const std::size_t lengths = times_sent(head, "Content-Length");
    const std::size_t encodings = times_sent(head, "Transfer-Encoding");
    check(lengths + encodings <= 1);
    check(head.chunked == (encodings == 1));
    check(!head.chunked || head.minor_version == 1);
    check(lengths == 1 || head.content_length == 0);
    if (lengths == 0) return;
    std::string_view text = head.single("content-length");
    while (text.size() > 1 && text.starts_with('0'))
        text.remove_prefix(1);
    check(text == std::to_string(head.content_length));
}

// The head, written anew in the plainest form.
std::string rewritten(const RequestHead& head) {
    std::string text = std::string(head.method_text) + ' ' + std::string(head.target) +
                       (head.minor_version == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
    for (const Field& field : head.fields)
        text += std::string(field.name) + ": " + std::string(field.value) + "\r\n";
    return text + "\r\n";
}

void check_accepted(const Scan& scanned, const HeadLimits& limits) {
    const RequestHead& head = scanned.head;
    const std::string_view bytes(scanned.memory.data(), scanned.head_bytes);
    check(bytes.find("\r\n\r\n") + 4 == bytes.size());
    check(bytes.size() <= limits.header_bytes + 1);
    check(bytes.find("\r\n") <= limits.request_line_bytes);
    check(head.fields.size() <= limits.fields);
    // Every line ends in CRLF, and neither of the two stands anywhere else.
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        check(bytes[i] != '\0');
        if (bytes[i] == '\r') check(bytes[i + 1] == '\n');
        if (bytes[i] == '\n') check(bytes[i - 1] == '\r');
        if (bytes[i] == '\n' && i + 1 < bytes.size()) check(bytes[i + 1] != ' ');
    }
    for (const Field& field : head.fields) {
        check(!field.name.empty());
        check(field.name.find_first_of(" \t:") == std::string_view::npos);
        check(std::ranges::none_of(field.value, [](char c) { return is_control(c) && c != '\t'; }));
        check(field.value.empty() || !std::string_view(" \t").contains(field.value.front()));
        check(field.value.empty() || !std::string_view(" \t").contains(field.value.back()));
    }
    const std::size_t hosts = times_sent(head, "Host");
    check(hosts <= 1 && (hosts == 1 || head.minor_version == 0));
    check(head.count(Known::host) == hosts);
    check_target(head);
    check_framing(head);

    const std::string plain = rewritten(head);
    const HeadLimits unlimited{plain.size(), plain.size(), limits.fields};
    Scan again = scan(plain, unlimited, [&](std::size_t) { return plain.size(); });
    check(again.head_bytes == plain.size());
    again.head_bytes = scanned.head_bytes;
    check_same(scanned, again);
}

struct Body {
    BodyReader::Outcome outcome = BodyReader::Outcome::incomplete;
    std::size_t bytes = 0;  // that belong to it
};

Body read_body(const RequestHead& head, std::string_view data, const Cut& cut) {
    Body result;
    BodyReader reader({head.chunked, head.content_length});
    while (result.outcome == BodyReader::Outcome::incomplete && result.bytes < data.size()) {
        const std::size_t end = std::min(cut(result.bytes), data.size());
        const std::vector<char> piece(data.begin() + result.bytes, data.begin() + end);
        result.outcome = reader.feed({piece.data(), piece.size()});
        result.bytes = end - reader.left_over();
    }
    return result;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// RFC 9112, 7.1, as a whole: how long the chunked body at the front of `data` is, or nothing where
// there is no complete one. What stands in extensions and trailers is not looked at, but for their
// line ends.
std::optional<std::size_t> chunked_bytes(std::string_view data) {
    std::size_t at = 0;
    const auto line = [&]() -> std::optional<std::string_view> {
        const std::size_t end = data.find("\r\n", at);
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view found = data.substr(at, end - at);
        at = end + 2;
        if (found.find_first_of("\r\n") != std::string_view::npos) return std::nullopt;
        return found;
    };
    while (true) {
        const auto size_line = line();
        if (!size_line || size_line->empty()) return std::nullopt;
        std::uint64_t size = 0;
        std::size_t digits = 0;
        for (; digits < size_line->size() && hex_value((*size_line)[digits]) >= 0; ++digits) {
            if (size > std::numeric_limits<std::uint64_t>::max() / 16) return std::nullopt;
            size = size * 16 + static_cast<std::uint64_t>(hex_value((*size_line)[digits]));
        }
        if (digits == 0) return std::nullopt;
        if (digits < size_line->size() && (*size_line)[digits] != ';') return std::nullopt;
        if (size == 0) break;
        if (size > data.size() - at || data.substr(at + size, 2) != "\r\n") return std::nullopt;
        at += size + 2;
    }
    while (true) {
        const auto trailer = line();
        if (!trailer) return std::nullopt;
        if (trailer->empty()) return at;
    }
}

void check_body(const RequestHead& head, std::string_view data) {
    const Body whole = read_body(head, data, [&](std::size_t) { return data.size(); });
    const Body bytewise = read_body(head, data, [](std::size_t begin) { return begin + 1; });
    const Body pieces = read_body(head, data, Pieces(data));
    for (const Body& other : {bytewise, pieces}) {
        check(whole.outcome == other.outcome);
        check(whole.bytes == other.bytes || whole.outcome == BodyReader::Outcome::malformed);
    }
    if (!head.chunked) {
        check(whole.outcome != BodyReader::Outcome::malformed);
        check((whole.outcome == BodyReader::Outcome::complete) ==
              (data.size() >= head.content_length));
        if (whole.outcome == BodyReader::Outcome::complete)
            check(whole.bytes == head.content_length);
    } else if (whole.outcome == BodyReader::Outcome::complete) {
        check(chunked_bytes(data) == whole.bytes);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view data(reinterpret_cast<const char*>(bytes), size);
    for (const HeadLimits& limits : {HeadLimits{}, HeadLimits{32, 160, 4}}) {
        const Scan whole = scan(data, limits, [&](std::size_t) { return data.size(); });
        check_same(whole, scan(data, limits, [](std::size_t begin) { return begin + 1; }));
        check_same(whole, scan(data, limits, Pieces(data)));
        if (whole.outcome == HeadScanner::Outcome::incomplete)
            check(data.size() <= limits.header_bytes);
        if (whole.outcome != HeadScanner::Outcome::complete) continue;
        check_accepted(whole, limits);
        if (whole.head.has_body()) check_body(whole.head, data.substr(whole.head_bytes));
    }
    return 0;
}
