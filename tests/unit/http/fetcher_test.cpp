#include "proxy/http/fetcher.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::http;

TEST_CASE("url: its parts", "[http][fetch]") {
    struct Case {
        std::string url;
        std::string origin;
        std::string authority;
        std::string host;
        std::uint16_t port;
        bool is_secure;
        std::string target;
    };
    const Case cases[] = {
        {"http://a.example/x?y=%20z", "http://a.example", "a.example", "a.example", 80, false,
         "/x?y=%20z"},
        {"https://a.example", "https://a.example", "a.example", "a.example", 443, true, "/"},
        {"https://a.example:8443/a/../b//", "https://a.example:8443", "a.example:8443", "a.example",
         8443, true, "/a/../b//"},
        {"http://192.0.2.1:9000/", "http://192.0.2.1:9000", "192.0.2.1:9000", "192.0.2.1", 9000,
         false, "/"},
        {"http://[2001:db8::1]/a", "http://[2001:db8::1]", "[2001:db8::1]", "2001:db8::1", 80,
         false, "/a"},
        {"http://[::1]:81/a@b:c", "http://[::1]:81", "[::1]:81", "::1", 81, false, "/a@b:c"},
    };
    for (const Case& each : cases) {
        CAPTURE(each.url);
        const auto parts = parse_url(each.url);
        REQUIRE(parts);
        CHECK(parts->origin == each.origin);
        CHECK(parts->authority == each.authority);
        CHECK(parts->host == each.host);
        CHECK(parts->port == each.port);
        CHECK(parts->is_secure == each.is_secure);
        CHECK(parts->target == each.target);
    }
}

TEST_CASE("url: what cannot be asked for", "[http][fetch]") {
    for (const std::string url : {"",
                                  "http",
                                  "http:",
                                  "http://",
                                  "https:///a",
                                  "ftp://a/",
                                  "file:///etc/hostname",
                                  "HTTP//a",
                                  "http://:80/",
                                  "http://a:/",
                                  "http://a:0/",
                                  "http://a:65536/",
                                  "http://a:8x/",
                                  "http://[::1",
                                  "http://[]/",
                                  "http://user@a/",
                                  "http://user:word@a/",
                                  "http://a?b",
                                  "http://a#b",
                                  "http://a/#b",
                                  "http://a/ b",
                                  "http://a/\r\nX: y",
                                  "http://a\t/"}) {
        CAPTURE(url);
        CHECK_FALSE(parse_url(url));
    }
}
