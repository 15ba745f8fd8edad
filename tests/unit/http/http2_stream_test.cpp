#include "proxy/http/http2_stream.h"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool::http;

namespace {

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

struct Read {
    Http2Head lines;
    RequestHead head;
    std::optional<Refusal> refusal;

    explicit Read(Fields fields, bool has_body = false, const HeadLimits& limits = {})
        : lines(limits) {
        for (const auto& [name, value] : fields)
            CHECK(lines.add(name, value) != Http2Head::Added::flood);
        refusal = lines.read(head, has_body);
    }
};

}  // namespace

TEST_CASE("a request over HTTP/2 is the same as over HTTP/1.1") {
    const Read read({{":method", "GET"},
                     {":scheme", "https"},
                     {":authority", "images.example"},
                     {":path", "/uploads/a%20b.jpg?size=1"},
                     {"range", "bytes=0-1"},
                     {"user-agent", ""},
                     {"x-two", "1"},
                     {"x-two", "2"}});
    CHECK_FALSE(read.refusal);
    CHECK(read.head.method == Method::get);
    CHECK(read.head.path == "/uploads/a%20b.jpg");
    CHECK(read.head.query == "size=1");
    CHECK(read.head.single(Known::host) == "images.example");
    CHECK(read.head.single(Known::range) == "bytes=0-1");
    CHECK(read.head.count(Known::user_agent) == 1);
    CHECK(read.head.single("x-two").empty());
    CHECK(read.head.major_version == 2);
    CHECK_FALSE(read.head.has_body());
}

TEST_CASE("the host of a request over HTTP/2") {
    const auto refusal = [](Fields fields) { return Read(fields).refusal; };
    CHECK_FALSE(refusal({{":method", "GET"}, {":path", "/"}, {"host", "a.example"}}));
    CHECK_FALSE(refusal(
        {{":method", "GET"}, {":authority", "a.example"}, {":path", "/"}, {"host", "A.example"}}));
    CHECK(refusal({{":method", "GET"}, {":path", "/"}}) == Refusal::bad_host);
    CHECK(refusal({{":method", "GET"},
                   {":authority", "a.example"},
                   {":path", "/"},
                   {"host", "b.example"}}) == Refusal::bad_host);
    CHECK(refusal({{":method", "GET"}, {":authority", "a b"}, {":path", "/"}}) ==
          Refusal::bad_host);
}

TEST_CASE("a path over HTTP/2 cannot bring a second line or field along") {
    for (const std::string_view path : {"/a HTTP/1.1\r\nx: y", "/a b", "/a\r\n", "/a#b", "/\x01"}) {
        const Read read({{":method", "GET"}, {":authority", "a.example"}, {":path", path}});
        INFO(path);
        CHECK(read.refusal);
    }
    CHECK(Read({{":method", "GET /x HTTP/1.1\r\n"}, {":authority", "a"}, {":path", "/"}}).refusal);
    CHECK(Read({{":method", "GET"}, {":authority", "a"}, {":path", "/"}, {"x", "1\r\nhost: b"}})
              .refusal);
    CHECK(Read({{":method", "GET"}, {":authority", "a\r\nx: y"}, {":path", "/"}}).refusal);
}

TEST_CASE("limits of a head over HTTP/2") {
    const HeadLimits limits{.request_line_bytes = 100, .header_bytes = 1000, .fields = 5};
    const std::string long_path = "/" + std::string(200, 'a');
    const std::string long_value(1300, 'a');
    const auto refusal = [&](Fields fields) { return Read(fields, false, limits).refusal; };
    CHECK(refusal({{":method", "GET"}, {":authority", "a"}, {":path", long_path}}) ==
          Refusal::request_line_too_long);
    CHECK(refusal({{":method", "GET"}, {":authority", "a"}, {":path", "/"}, {"x", long_value}}) ==
          Refusal::headers_too_large);
    CHECK(refusal({{":method", "GET"},
                   {":authority", "a"},
                   {":path", "/"},
                   {"a", ""},
                   {"b", ""},
                   {"c", ""},
                   {"d", ""},
                   {"e", ""}}) == Refusal::too_many_fields);
    Http2Head lines(limits);
    CHECK(lines.add("x", long_value) == Http2Head::Added::dropped);
    CHECK(lines.add("x", "short") == Http2Head::Added::dropped);
    CHECK(lines.bytes() < 200);
    while (lines.add("x", long_value) != Http2Head::Added::flood)
        CHECK(lines.bytes() < 200);
}

TEST_CASE("whether a body follows over HTTP/2") {
    const Fields post{{":method", "POST"}, {":authority", "a"}, {":path", "/"}};
    CHECK_FALSE(Read(post).head.has_body());
    CHECK(Read(post, true).head.chunked);
    const Read with_length(
        {{":method", "POST"}, {":authority", "a"}, {":path", "/"}, {"content-length", "12"}}, true);
    CHECK(with_length.head.content_length == 12);
    CHECK_FALSE(with_length.head.chunked);
}
