#include "conf/listen_address.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::conf;
using Family = ListenAddress::Family;

TEST_CASE("listen address: the three forms are read and shown again", "[conf][listen]") {
    struct Case {
        std::string text;
        ListenAddress address;
        std::string shown;
    };
    const std::string longest = "/" + std::string(106, 'a');
    const Case cases[] = {
        {"0.0.0.0:8080", {Family::inet4, "0.0.0.0", 8080}, "0.0.0.0:8080"},
        {"127.0.0.1:0", {Family::inet4, "127.0.0.1", 0}, "127.0.0.1:0"},
        {"10.1.2.3:65535", {Family::inet4, "10.1.2.3", 65535}, "10.1.2.3:65535"},
        {"[::1]:8080", {Family::inet6, "::1", 8080}, "[::1]:8080"},
        {"[::]:80", {Family::inet6, "::", 80}, "[::]:80"},
        {"[0:0::0]:80", {Family::inet6, "::", 80}, "[::]:80"},
        {"[2001:DB8::01]:80", {Family::inet6, "2001:db8::1", 80}, "[2001:db8::1]:80"},
        {"[::ffff:1.2.3.4]:80", {Family::inet6, "::ffff:1.2.3.4", 80}, "[::ffff:1.2.3.4]:80"},
        {"unix:/run/tidepool.sock",
         {Family::unix_path, "/run/tidepool.sock", 0},
         "unix:/run/tidepool.sock"},
        {"unix:/a b:c", {Family::unix_path, "/a b:c", 0}, "unix:/a b:c"},
        {"unix:" + longest, {Family::unix_path, longest, 0}, "unix:" + longest},
    };
    for (const auto& [text, expected, shown] : cases) {
        INFO(text);
        const auto address = parse_listen_address(text);
        REQUIRE(address);
        CHECK(*address == expected);
        CHECK(address->text() == shown);
        CHECK(parse_listen_address(address->text()).value() == *address);
    }
}

TEST_CASE("listen address: what is none is refused with a hint", "[conf][listen]") {
    struct Case {
        std::string text;
        const char* hint;
    };
    const Case cases[] = {
        {"", "write \"0.0.0.0:8080\""},
        {":8080", "write \"0.0.0.0:8080\" for every IPv4 address or \"[::]:8080\""},
        {"8080", "write \"0.0.0.0:8080\""},
        {"localhost:8080", "write \"127.0.0.1:8080\""},
        {"*:80", "write \"0.0.0.0:80\""},
        {"example.org:80", "names are not looked up"},
        {"0.0.0.0", "write \"0.0.0.0:8080\""},
        {"0.0.0.0:", "a port is a number from 0 to 65535"},
        {"0.0.0.0:65536", "a port is a number from 0 to 65535"},
        {"0.0.0.0:-1", "a port is a number from 0 to 65535"},
        {"0.0.0.0:080", "a port is a number from 0 to 65535"},
        {"0.0.0.0:80 ", "a port is a number from 0 to 65535"},
        {"0.0.0.0:http", "a port is a number from 0 to 65535"},
        {" 0.0.0.0:80", "numeric address"},
        {"1.2.3:80", "numeric address"},
        {"::1:8080", "in brackets"},
        {"::1", "in brackets"},
        {"[::1]", "[ADDRESS]:PORT"},
        {"[::1]8080", "[ADDRESS]:PORT"},
        {"[::1]:", "a port is a number"},
        {"[::1]:99999", "a port is a number"},
        {"[]:80", "no IPv6 address"},
        {"[1.2.3.4]:80", "no IPv6 address"},
        {"[fe80::1%eth0]:80", "no IPv6 address"},
        {"unix:", "starts with \"/\""},
        {"unix:run/x.sock", "starts with \"/\""},
        {"unix:@abstract", "starts with \"/\""},
        {"unix:/" + std::string(107, 'a'), "at most 107 bytes"},
        {std::string("unix:/a\0b", 9), "control character"},
        {"unix:/a\nb", "control character"},
        {"/run/tidepool.sock", "write \"unix:PATH\""},
        {"http://0.0.0.0:80", "numeric address"},
    };
    for (const auto& [text, hint] : cases) {
        INFO(text);
        const auto address = parse_listen_address(text);
        REQUIRE(!address);
        CHECK(address.error().kind == ErrorKind::invalid);
        CHECK_THAT(address.error().text, Catch::Contains(hint));
    }
}

TEST_CASE("listen address: the same port collides with every address of the family",
          "[conf][listen]") {
    struct Case {
        const char* a;
        const char* b;
        bool collide;
    };
    const Case cases[] = {
        {"127.0.0.1:80", "127.0.0.1:80", true},  {"127.0.0.1:80", "127.0.0.1:81", false},
        {"127.0.0.1:80", "127.0.0.2:80", false}, {"0.0.0.0:80", "127.0.0.1:80", true},
        {"[::]:80", "[::1]:80", true},           {"[::]:80", "0.0.0.0:80", false},
        {"[::1]:80", "[0::1]:80", true},         {"127.0.0.1:0", "127.0.0.1:0", false},
        {"0.0.0.0:0", "127.0.0.1:0", false},     {"unix:/a", "unix:/a", true},
        {"unix:/a", "unix:/b", false},           {"unix:/a", "0.0.0.0:80", false},
    };
    for (const auto& [a, b, collide] : cases) {
        INFO(a << " " << b);
        const auto first = parse_listen_address(a).value();
        const auto second = parse_listen_address(b).value();
        CHECK(first.collides_with(second) == collide);
        CHECK(second.collides_with(first) == collide);
    }
}
