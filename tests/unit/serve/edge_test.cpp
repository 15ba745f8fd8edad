#include "proxy/serve/edge.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::http;

namespace {

std::string client(const std::string& fields, bool trusted,
                   std::string_view header = "CF-Connecting-IP") {
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
    RequestHead head;
    HeadScanner scanner;
    REQUIRE(scanner.scan(text, {}, head) == HeadScanner::Outcome::complete);
    Peer peer;
    peer.address = *conf::IpAddress::parse("192.0.2.1");
    peer.trusted = trusted;
    return serve::client_address(head, peer, header).text();
}

}  // namespace

TEST_CASE("edge: who really asks", "[serve][edge]") {
    struct Case {
        const char* fields;
        const char* trusted;  // the client behind a trusted peer
    };
    for (const Case& each : std::initializer_list<Case>{
             {"", "192.0.2.1"},
             {"CF-Connecting-IP: 203.0.113.7\r\n", "203.0.113.7"},
             {"cf-connecting-ip: 2001:DB8::1\r\n", "2001:db8::1"},
             {"CF-Connecting-IP: ::ffff:203.0.113.7\r\n", "203.0.113.7"},
             {"CF-Connecting-IP: nonsense\r\n", "192.0.2.1"},
             {"CF-Connecting-IP: 203.0.113.7, 203.0.113.8\r\n", "192.0.2.1"},
             {"CF-Connecting-IP: 203.0.113.7\r\nCF-Connecting-IP: 203.0.113.8\r\n", "192.0.2.1"},
             {"X-Forwarded-For: 198.51.100.1, 203.0.113.7\r\n", "203.0.113.7"},
             {"X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"},
             {"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"},
             {"X-Forwarded-For: 203.0.113.7,\r\n", "192.0.2.1"},
             {"X-Forwarded-For: 203.0.113.7, unknown\r\n", "192.0.2.1"},
             {"CF-Connecting-IP: 203.0.113.7\r\nX-Forwarded-For: 198.51.100.1\r\n",
              "203.0.113.7"}}) {
        CAPTURE(each.fields);
        CHECK(client(each.fields, true) == each.trusted);
        CHECK(client(each.fields, false) == "192.0.2.1");
    }
    CHECK(client("X-Real-IP: 203.0.113.7\r\n", true, "X-Real-IP") == "203.0.113.7");
}

TEST_CASE("edge: a unix socket's peer may be trusted too", "[serve][edge]") {
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nCF-Connecting-IP: 2001:db8::1\r\n\r\n";
    RequestHead head;
    HeadScanner scanner;
    REQUIRE(scanner.scan(text, {}, head) == HeadScanner::Outcome::complete);
    Peer peer;
    peer.is_unix = true;
    CHECK(serve::client_address(head, peer, "CF-Connecting-IP") == conf::IpAddress{});
    peer.trusted = true;
    CHECK(serve::client_address(head, peer, "CF-Connecting-IP").text() == "2001:db8::1");
}

TEST_CASE("edge: what is no single plain address is nobody's", "[serve][edge]") {
    for (const char* value :
         {"203.0.113.7:80", "[2001:db8::1]", "[2001:db8::1]:80", "2001:db8::1%eth0", "203.0.113",
          "203.0.113.256", "0203.0.113.7", "203.0.113.7 203.0.113.8", "\"203.0.113.7\"", ""}) {
        CAPTURE(value);
        CHECK(client(std::string("CF-Connecting-IP: ") + value + "\r\n", true) == "192.0.2.1");
        CHECK(client(std::string("X-Forwarded-For: ") + value + "\r\n", true) == "192.0.2.1");
    }
}
