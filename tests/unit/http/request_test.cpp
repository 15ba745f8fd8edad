#include "proxy/http/request.h"

#include <optional>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::http;
using Outcome = HeadScanner::Outcome;

namespace {

constexpr HeadLimits kLimits{.request_line_bytes = 100, .header_bytes = 400, .fields = 6};

// The refusal, or nothing where the head is accepted.
std::optional<Refusal> refusal_of(const std::string& text, RequestHead& head) {
    HeadScanner scanner;
    const Outcome outcome = scanner.scan(text, kLimits, head);
    REQUIRE(outcome != Outcome::incomplete);
    if (outcome == Outcome::refused) return scanner.refusal();
    return std::nullopt;
}
std::optional<Refusal> refusal_of(const std::string& text) {
    RequestHead head;
    return refusal_of(text, head);
}

std::string get(const std::string& fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

}  // namespace

TEST_CASE("request: what a head says", "[http][request]") {
    RequestHead head;
    const std::string text =
        "GET /uploads/a.jpg?b=c HTTP/1.1\r\nHost: images.example\r\nRANGE: bytes=0-1\r\nX-Own:\t v "
        "\r\n\r\n";
    REQUIRE_FALSE(refusal_of(text, head));
    CHECK(head.method == Method::get);
    CHECK(head.target == "/uploads/a.jpg?b=c");
    CHECK(head.path == "/uploads/a.jpg");
    CHECK(head.query == "b=c");
    CHECK(head.minor_version == 1);
    CHECK(head.keep_alive);
    CHECK_FALSE(head.has_body());
    CHECK(head.single(Known::range) == "bytes=0-1");
    CHECK(head.single("x-own") == "v");
    CHECK(head.single("x-other").empty());
    CHECK(head.fields.size() == 3);
}

TEST_CASE("request: the forms of a target", "[http][request]") {
    struct Case {
        const char* line;
        const char *path, *query;
    };
    for (const Case& each : std::initializer_list<Case>{{"GET / HTTP/1.1", "/", ""},
                                                        {"GET /? HTTP/1.1", "/", ""},
                                                        {"GET /a?b?c HTTP/1.1", "/a", "b?c"},
                                                        {"GET http://h HTTP/1.1", "/", ""},
                                                        {"GET HTTPS://h:1/a?b HTTP/1.1", "/a", "b"},
                                                        {"GET http://h?b HTTP/1.1", "/", "b"},
                                                        {"OPTIONS * HTTP/1.1", "*", ""},
                                                        {"GET /\xC3\xA4 HTTP/1.1", "/\xC3\xA4", ""},
                                                        {"PURGE /a HTTP/1.1", "/a", ""}}) {
        CAPTURE(each.line);
        RequestHead head;
        const std::string text = std::string(each.line) + "\r\nHost: h\r\n\r\n";
        REQUIRE_FALSE(refusal_of(text, head));
        CHECK(head.path == each.path);
        CHECK(head.query == each.query);
    }
}

TEST_CASE("request: request lines that are refused", "[http][request]") {
    struct Case {
        std::string line;
        Refusal refusal;
    };
    for (const Case& each : std::initializer_list<Case>{
             {"GET /", Refusal::bad_request_line},
             {"GET", Refusal::bad_request_line},
             {"GET  / HTTP/1.1", Refusal::bad_target},
             {"GET / a HTTP/1.1", Refusal::bad_request_line},
             {"G@T / HTTP/1.1", Refusal::bad_request_line},
             {" GET / HTTP/1.1", Refusal::bad_request_line},
             {"GET a HTTP/1.1", Refusal::bad_target},
             {"GET * HTTP/1.1", Refusal::bad_target},
             {"GET /#a HTTP/1.1", Refusal::bad_target},
             {"GET /\x01 HTTP/1.1", Refusal::bad_target},
             {"GET /\x7F HTTP/1.1", Refusal::bad_target},
             {"GET ftp://h/ HTTP/1.1", Refusal::bad_target},
             {"GET http:///a HTTP/1.1", Refusal::bad_target},
             {"GET / HTTP/2.0", Refusal::bad_version},
             {"GET / HTTP/1.2", Refusal::bad_version},
             {"GET / http/1.1", Refusal::bad_request_line},
             {"GET / HTTP/1.1 ", Refusal::bad_request_line},
             {"GET / HTTP/11", Refusal::bad_request_line},
             {"GET /" + std::string(100, 'a') + " HTTP/1.1", Refusal::request_line_too_long}}) {
        CAPTURE(each.line);
        CHECK(refusal_of(each.line + "\r\nHost: h\r\n\r\n") == each.refusal);
    }
}

TEST_CASE("request: fields that are refused", "[http][request]") {
    struct Case {
        std::string fields;
        Refusal refusal;
    };
    for (const Case& each : std::initializer_list<Case>{
             {"A : b\r\n", Refusal::bad_field_name},
             {"A\r\n", Refusal::bad_field_name},
             {": b\r\n", Refusal::bad_field_name},
             {"A b: c\r\n", Refusal::bad_field_name},
             {"A\xC3: c\r\n", Refusal::bad_field_name},
             {" A: b\r\n", Refusal::folded_field},
             {"A: b\r\n c\r\n", Refusal::folded_field},
             {"A: b\r\n\tc\r\n", Refusal::folded_field},
             {"A: b\rc\r\n", Refusal::bad_field_value},
             {std::string("A: b\0c\r\n", 8), Refusal::bad_field_value},
             {"A: \x01\r\n", Refusal::bad_field_value},
             {"A: \x7F\r\n", Refusal::bad_field_value},
             {"A: b\nC: d\r\n", Refusal::bare_line_feed},
             {"Host: b\r\n", Refusal::bad_host},
             {"Content-Length: 1\r\nContent-Length: 1\r\n", Refusal::two_content_lengths},
             {"Content-Length: 1, 1\r\n", Refusal::bad_content_length},
             {"Content-Length: +1\r\n", Refusal::bad_content_length},
             {"Content-Length: -1\r\n", Refusal::bad_content_length},
             {"Content-Length: 0x1\r\n", Refusal::bad_content_length},
             {"Content-Length:\r\n", Refusal::bad_content_length},
             {"Content-Length: 99999999999999999999\r\n", Refusal::bad_content_length},
             {"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
              Refusal::length_with_transfer_encoding},
             {"Transfer-Encoding: gzip\r\n", Refusal::bad_transfer_encoding},
             {"Transfer-Encoding: gzip, chunked\r\n", Refusal::bad_transfer_encoding},
             {"Transfer-Encoding: chunked, chunked\r\n", Refusal::bad_transfer_encoding},
             {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
              Refusal::bad_transfer_encoding},
             {"Transfer-Encoding: xchunked\r\n", Refusal::bad_transfer_encoding},
             {"Expect: 200-ok\r\n", Refusal::expectation},
             {"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\n", Refusal::too_many_fields},
             {"A: " + std::string(400, 'a') + "\r\n", Refusal::headers_too_large}}) {
        CAPTURE(each.fields);
        CHECK(refusal_of(get(each.fields)) == each.refusal);
    }
    CHECK(refusal_of("GET / HTTP/1.1\r\n\r\n") == Refusal::bad_host);
    CHECK(refusal_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n") == Refusal::bad_host);
    CHECK(refusal_of("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") ==
          Refusal::bad_transfer_encoding);
    CHECK(refusal_of("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n") == Refusal::bad_request_line);
    CHECK(refusal_of("\x16\x03\x01") == Refusal::bad_request_line);
}

TEST_CASE("request: whether the connection goes on", "[http][request]") {
    struct Case {
        std::string text;
        bool keep_alive;
    };
    for (const Case& each : std::initializer_list<Case>{
             {get(""), true},
             {get("Connection: close\r\n"), false},
             {get("Connection: CLOSE\r\n"), false},
             {get("Connection: keep-alive, close\r\n"), false},
             {get("Connection: a\r\nConnection: close\r\n"), false},
             {get("Connection: closed\r\n"), true},
             {"GET / HTTP/1.0\r\n\r\n", false},
             {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
             {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false}}) {
        CAPTURE(each.text);
        RequestHead head;
        REQUIRE_FALSE(refusal_of(each.text, head));
        CHECK(head.keep_alive == each.keep_alive);
    }
}

TEST_CASE("request: bodies and expectations", "[http][request]") {
    RequestHead head;
    REQUIRE_FALSE(refusal_of(get("Content-Length: 0\r\n"), head));
    CHECK_FALSE(head.has_body());
    const std::string with_length = get("Content-Length: 007\r\nExpect: 100-Continue\r\n");
    REQUIRE_FALSE(refusal_of(with_length, head));
    CHECK(head.content_length == 7);
    CHECK(head.expects_continue);
    const std::string chunked = get("Transfer-Encoding: Chunked\r\n");
    REQUIRE_FALSE(refusal_of(chunked, head));
    CHECK(head.chunked);
    CHECK(head.has_body());
}

TEST_CASE("request: a head that comes byte by byte", "[http][request]") {
    const std::string text = get("A: b\r\nIf-None-Match: \"x\"\r\nIf-None-Match: \"y\"\r\n");
    HeadScanner scanner;
    RequestHead head;
    for (std::size_t end = 1; end < text.size(); ++end) {
        REQUIRE(scanner.scan(std::string_view(text).substr(0, end), kLimits, head) ==
                Outcome::incomplete);
    }
    REQUIRE(scanner.scan(text, kLimits, head) == Outcome::complete);
    CHECK(scanner.head_bytes() == text.size());
    std::string joined;
    CHECK(head.list(Known::if_none_match, joined) == "\"x\", \"y\"");
    CHECK(head.single(Known::if_none_match).empty());
    // The scanner serves the next head, which stands behind this one in the same packet.
    const std::string two = text + text;
    scanner.reset();
    REQUIRE(scanner.scan(two, kLimits, head) == Outcome::complete);
    CHECK(scanner.head_bytes() == text.size());
}

TEST_CASE("request: a limit is hit before the head has ended", "[http][request]") {
    HeadScanner scanner;
    RequestHead head;
    CHECK(scanner.scan("GET /" + std::string(200, 'a'), kLimits, head) == Outcome::refused);
    CHECK(scanner.refusal() == Refusal::request_line_too_long);
    scanner.reset();
    CHECK(scanner.scan("GET / HTTP/1.1\r\nA: " + std::string(400, 'a'), kLimits, head) ==
          Outcome::refused);
    CHECK(scanner.refusal() == Refusal::headers_too_large);
}
