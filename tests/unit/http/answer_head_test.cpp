#include "proxy/http/answer_head.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::http;
using Framing = AnswerHead::Framing;

namespace {

Result<AnswerHead> parse(const std::string& lines) {
    return AnswerHead::parse(lines + "\r\n");
}

}  // namespace

TEST_CASE("answer head: status and fields", "[http][answer]") {
    const auto head = parse(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag:\"a\"\r\nX-Odd: \t two  words "
        "\t\r\nX-Empty:\r\nx-odd: again\r\nX-Colon: a:b\r\n");
    REQUIRE(head);
    CHECK(head->status() == 206);
    CHECK(head->field_count() == 6);
    CHECK(head->field("etag") == "\"a\"");
    CHECK(head->field("x-odd") == "two  words");
    CHECK(head->field("x-empty").empty());
    CHECK(head->field("x-colon") == "a:b");
    CHECK(head->field("absent").empty());
    CHECK(parse("HTTP/1.1 404\r\n")->status() == 404);
    CHECK(parse("HTTP/1.1 503 \r\n")->status() == 503);

    // Short enough to stand within the string itself: views must not point to where it was.
    auto small = parse("HTTP/1.1 200\r\na:b\r\n");
    REQUIRE(small);
    const AnswerHead moved = std::move(*small);
    CHECK(moved.field("a") == "b");
}

TEST_CASE("answer head: where the body ends, and what becomes of the connection",
          "[http][answer]") {
    struct Case {
        std::string text;
        Framing framing;
        std::uint64_t length;
        bool keeps_alive;
    };
    const Case cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", Framing::length, 5, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", Framing::none, 0, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n", Framing::length, UINT64_MAX,
         true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Framing::length, 5, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n", Framing::length, 5,
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x, close\r\n", Framing::length, 5,
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: closed\r\n", Framing::length, 5,
         true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", Framing::length, 5, false},
        {"HTTP/1.1 200 OK\r\n", Framing::until_close, 0, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", Framing::chunked, 0, true},
        // Somebody on the way may have believed the other (RFC 9112, 6.3).
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", Framing::chunked,
         5, false},
        {"HTTP/1.1 204 No Content\r\n", Framing::none, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", Framing::none, 5, true},
        {"HTTP/1.1 100 Continue\r\n", Framing::none, 0, true},
    };
    for (const Case& each : cases) {
        CAPTURE(each.text);
        const auto head = parse(each.text);
        REQUIRE(head);
        CHECK(head->framing() == each.framing);
        CHECK(head->content_length() == each.length);
        CHECK(head->keeps_alive() == each.keeps_alive);
    }
}

TEST_CASE("answer head: what is none", "[http][answer]") {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::string cases[] = {
        "",
        "\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1 200 OK\r\n",
        "HTTP/1.x 200 OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 20\r\n",
        "HTTP/1.1 2000\r\n",
        "HTTP/1.1 2x0 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 200 OK\n",
        " HTTP/1.1 200 OK\r\n",
        ok + "no colon\r\n",
        ok + ": no name\r\n",
        ok + "X Y: 1\r\n",
        ok + "X : 1\r\n",
        ok + "X: 1\r\n folded: 2\r\n",
        ok + "X: 1\n",
        ok + "X: a\rb\r\n",
        ok + std::string("X: a\0b\r\n", 8),
        ok + "Content-Length: \r\n",
        ok + "Content-Length: -5\r\n",
        ok + "Content-Length: +5\r\n",
        ok + "Content-Length: 5x\r\n",
        ok + "Content-Length: 0x5\r\n",
        ok + "Content-Length: 5, 5\r\n",
        ok + "Content-Length: 18446744073709551616\r\n",
        ok + "Content-Length: 5\r\nContent-Length: 6\r\n",
        ok + "Transfer-Encoding: gzip, chunked\r\n",
        ok + "Transfer-Encoding: chunked, chunked\r\n",
        ok + "Transfer-Encoding: identity\r\n",
        ok + "Transfer-Encoding: ,\r\nContent-Length: 1\r\n",
        ok + "Transfer-Encoding:\r\nContent-Length: 1\r\n",
    };
    for (const std::string& each : cases) {
        CAPTURE(each);
        const auto head = parse(each);
        REQUIRE_FALSE(head);
        CHECK(head.error().kind == ErrorKind::io);  // it may be next time
    }
}

TEST_CASE("answer head: what may become one", "[http][answer]") {
    for (const std::string_view each : {"", "H", "HTTP/1.", "HTTP/1.1 200"})
        CHECK(AnswerHead::may_begin(each));
    for (const std::string_view each : {"h", "HTTP/2", "\r\n", "XHTTP/1.1"})
        CHECK_FALSE(AnswerHead::may_begin(each));
}
