// That a head reads the same however it is cut, and where exactly its limits lie.
#include "proxy/http/request.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::http;
using Outcome = HeadScanner::Outcome;

namespace {

constexpr HeadLimits kLimits{.request_line_bytes = 60, .header_bytes = 200, .fields = 5};

struct Scan {
    Outcome outcome = Outcome::incomplete;
    std::optional<Refusal> refusal;
    std::size_t head_bytes = 0;
    std::string target;
    bool operator==(const Scan&) const = default;
};

// Each look is at memory of its own, no longer than what has come.
Scan scan(const std::string& text, std::size_t step, std::size_t first) {
    HeadScanner scanner;
    Scan result;
    std::vector<char> memory;
    RequestHead head;
    for (std::size_t come = std::min(first, text.size());;
         come = std::min(come + step, text.size())) {
        memory.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(come));
        result.outcome = scanner.scan({memory.data(), memory.size()}, kLimits, head);
        if (result.outcome != Outcome::incomplete || come == text.size()) break;
    }
    if (result.outcome == Outcome::refused) result.refusal = scanner.refusal();
    if (result.outcome == Outcome::complete) {
        result.head_bytes = scanner.head_bytes();
        result.target = head.target;
    }
    return result;
}

Scan scan(const std::string& text) {
    return scan(text, text.size(), text.size());
}

std::string head_of(std::size_t bytes) {
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    return start + std::string(bytes - start.size() - 4, 'x') + "\r\n\r\n";
}

}  // namespace

TEST_CASE("request: cut in two at every byte, and byte by byte, it reads the same",
          "[http][request]") {
    const std::string get = "GET /a?b HTTP/1.1\r\nHost: a\r\n";
    for (const std::string& text : std::initializer_list<std::string>{
             get + "\r\n",
             get + "A: b\r\nC: d\r\n\r\n",
             get + "\r\n" + get + "\r\n",
             get + "Content-Length: 3\r\n\r\nabc",
             get + "A: b",
             get,
             get + "\r",
             "GET",
             "GET / HTTP/1.1\nHost: a\n\n",
             get + "A: b\n\r\n",
             get + "A: b\r\n\n",
             get + "\n",
             get + "A: b\rc\r\n\r\n",
             get + "A : b\r\n\r\n",
             get + " A: b\r\n\r\n",
             get + "A: b\r\n c\r\n\r\n",
             get + "A\r\n\r\n",
             get + "Host: b\r\n\r\n",
             get + "Content-Length: x\r\n\r\n",
             get + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
             get + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
             get + "Transfer-Encoding: gzip\r\n\r\n",
             get + "Expect: x\r\n\r\n",
             get + std::string("A: b\0c\r\n\r\n", 10),
             get + "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n",
             "GET a HTTP/1.1\r\n\r\n",
             "GET / HTTP/3.0\r\n\r\n",
             "GET /\r\n\r\n",
             "\r\n" + get + "\r\n",
             "\x16\x03\x01\x02",
             "GET /" + std::string(80, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /" + std::string(300, 'a'),
             head_of(200),
             head_of(201),
             head_of(400),
             get + "A: " + std::string(300, 'a'),
             get + "A: " + std::string(190, 'a') + "\nB: c\r\n\r\n",
         }) {
        INFO(text);
        const Scan whole = scan(text);
        CHECK(scan(text, 1, 1) == whole);
        CHECK(scan(text, 7, 3) == whole);
        for (std::size_t cut = 1; cut < text.size(); ++cut) {
            INFO("cut behind " << cut << " bytes");
            CHECK(scan(text, text.size(), cut) == whole);
        }
    }
}

TEST_CASE("request: each limit is reached to the byte", "[http][request]") {
    const auto line = [](std::size_t bytes) {
        return "GET /" + std::string(bytes - 14, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n";
    };
    CHECK(scan(line(60)).outcome == Outcome::complete);
    CHECK(scan(line(61)).refusal == Refusal::request_line_too_long);
    CHECK(scan("GET /" + std::string(56, 'a')).outcome == Outcome::incomplete);
    CHECK(scan("GET /" + std::string(57, 'a')).refusal == Refusal::request_line_too_long);

    CHECK(scan(head_of(200)).outcome == Outcome::complete);
    CHECK(scan(head_of(201)).refusal == Refusal::headers_too_large);
    // What stands behind the head is another request's or its body, and has no part in it.
    CHECK(scan(head_of(200) + std::string(1000, 'x')).head_bytes == 200);

    const std::string four = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n";
    CHECK(scan(four + "D: 4\r\n\r\n").outcome == Outcome::complete);
    CHECK(scan(four + "D: 4\r\nE: 5\r\n\r\n").refusal == Refusal::too_many_fields);
}

TEST_CASE("request: a name sent several times is no single value, whatever its case",
          "[http][request]") {
    const std::string text =
        "GET / HTTP/1.1\r\nhOST: a\r\nRange: bytes=0-1\r\nRANGE: bytes=2-3\r\nX: 1\r\nx: 2\r\n\r\n";
    HeadScanner scanner;
    RequestHead head;
    REQUIRE(scanner.scan(text, {}, head) == Outcome::complete);
    CHECK(head.single(Known::host) == "a");
    CHECK(head.count(Known::range) == 2);
    CHECK(head.single(Known::range).empty());
    CHECK(head.single("x").empty());
    CHECK(head.single("HOST") == "a");
    std::string joined;
    CHECK(head.list(Known::range, joined) == "bytes=0-1, bytes=2-3");
    CHECK(head.list(Known::if_match, joined).empty());
    // A name that differs by the bit that makes letters small is another name.
    const std::string odd = "GET / HTTP/1.1\r\nHost: a\r\n^: 1\r\n\r\n";
    scanner.reset();
    REQUIRE(scanner.scan(odd, {}, head) == Outcome::complete);
    CHECK(head.single("~").empty());
    CHECK(head.single("^") == "1");
    CHECK(head.count(Known::range) == 0);  // nothing is left of the head before
}
