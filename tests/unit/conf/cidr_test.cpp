#include "conf/cidr.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::conf;
using namespace std::string_view_literals;

TEST_CASE("cidr: an address is read and shown in its shortest form", "[conf][cidr]") {
    struct Case {
        const char* text;
        const char* shown;
    };
    const Case cases[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::1", "::1"},
        {"::", "::"},
        {"2400:CB00::", "2400:cb00::"},
        {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"::ffff:1.2.3.4", "1.2.3.4"},
        {"::ffff:102:304", "1.2.3.4"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (const auto& [text, shown] : cases) {
        INFO(text);
        const auto address = IpAddress::parse(text);
        REQUIRE(address);
        CHECK(address->text() == shown);
        CHECK(IpAddress::parse(shown) == address);
    }
}

TEST_CASE("cidr: only exactly one address is an address", "[conf][cidr]") {
    for (const auto text : {""sv,
                            " 1.2.3.4"sv,
                            "1.2.3.4 "sv,
                            "1.2.3"sv,
                            "1.2.3.4.5"sv,
                            "1.2.3.256"sv,
                            "01.2.3.4"sv,
                            "0x1.2.3.4"sv,
                            "1.2.3.4:80"sv,
                            "[::1]"sv,
                            "::1%eth0"sv,
                            "fe80::1%1"sv,
                            ":::"sv,
                            "1::2::3"sv,
                            "12345::"sv,
                            "1.2.3.4\0"sv,
                            "1.2.3.4\0x"sv,
                            "::1\0"sv,
                            "localhost"sv,
                            "1.2.3.4, 5.6.7.8"sv,
                            "2001:db8:0:0:0:0:0:0:1"sv,
                            "1.2.3.4/32"sv,
                            "-1.2.3.4"sv,
                            "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"sv}) {
        INFO(text);
        CHECK(!IpAddress::parse(text));
    }
}

TEST_CASE("cidr: an IPv4 address equals its mapped IPv6 form", "[conf][cidr]") {
    const auto plain = IpAddress::parse("173.245.48.1");
    const auto mapped = IpAddress::parse("::ffff:173.245.48.1");
    REQUIRE(plain);
    CHECK(plain == mapped);
    CHECK(plain->is_v4());
    CHECK(!IpAddress::parse("::1")->is_v4());
    CHECK(!IpAddress::parse("::1.2.3.4")->is_v4());
}

TEST_CASE("cidr: a range is read and shown as it is written", "[conf][cidr]") {
    struct Case {
        const char* text;
        unsigned bits;
        const char* shown;
    };
    const Case cases[] = {
        {"173.245.48.0/20", 116, "173.245.48.0/20"},
        {"0.0.0.0/0", 96, "0.0.0.0/0"},
        {"10.0.0.0/8", 104, "10.0.0.0/8"},
        {"1.2.3.4", 128, "1.2.3.4/32"},
        {"1.2.3.4/32", 128, "1.2.3.4/32"},
        {"2400:cb00::/32", 32, "2400:cb00::/32"},
        {"::/0", 0, "::/0"},
        {"::1", 128, "::1/128"},
        {"::ffff:1.2.3.0/120", 120, "1.2.3.0/24"},
    };
    for (const auto& [text, bits, shown] : cases) {
        INFO(text);
        const auto range = Cidr::parse(text);
        REQUIRE(range);
        CHECK(range->prefix_bits == bits);
        CHECK(range->text() == shown);
        CHECK(Cidr::parse(shown) == range);
    }
}

TEST_CASE("cidr: a range with bits behind the prefix, or none at all, is refused", "[conf][cidr]") {
    for (const auto text : {""sv,
                            "/8"sv,
                            "1.2.3.4/"sv,
                            "1.2.3.4/33"sv,
                            "1.2.3.4/-1"sv,
                            "1.2.3.4/+8"sv,
                            "1.2.3.4/08"sv,
                            "1.2.3.4/8x"sv,
                            "1.2.3.4/ 8"sv,
                            "1.2.3.4/24"sv,
                            "173.245.48.1/20"sv,
                            "10.0.0.1/31"sv,
                            "2400:cb00::1/32"sv,
                            "::1/0"sv,
                            "::/129"sv,
                            "::/4294967296"sv,
                            "1.2.3.0/24/24"sv,
                            "1.2.3.0/255.255.255.0"sv,
                            "104.16.0.0/11"sv,
                            "1.2.3.0/24\0"sv,
                            "::ffff:1.2.3.0/24"sv,
                            "a/8"sv}) {
        INFO(text);
        CHECK(!Cidr::parse(text));
    }
}

TEST_CASE("cidr: a range contains its first and last address and no neighbour", "[conf][cidr]") {
    struct Case {
        const char* range;
        const char* address;
        bool inside;
    };
    const Case cases[] = {
        {"173.245.48.0/20", "173.245.48.0", true},
        {"173.245.48.0/20", "173.245.63.255", true},
        {"173.245.48.0/20", "173.245.64.0", false},
        {"173.245.48.0/20", "173.245.47.255", false},
        {"1.2.3.4/32", "1.2.3.4", true},
        {"1.2.3.4/32", "1.2.3.5", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "8.8.8.8", true},
        {"::/0", "2001:db8::1", true},
        {"2a06:98c0::/29", "2a06:98c7:ffff::", true},
        {"2a06:98c0::/29", "2a06:98c8::", false},
        {"2400:cb00::/32", "2400:cb00::1", true},
        {"2400:cb00::/32", "2400:cb01::", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::a01:203", false},
    };
    for (const auto& [range, address, inside] : cases) {
        INFO(range << " " << address);
        CHECK(Cidr::parse(range).value().contains(IpAddress::parse(address).value()) == inside);
    }
}

TEST_CASE("cidr: the shipped ranges are the 15 and 7 that are published", "[conf][cidr]") {
    const auto ranges = cloudflare_ranges();
    CHECK(ranges.size() == 22);
    CHECK(std::ranges::count_if(ranges, [](const Cidr& range) { return range.base.is_v4(); }) ==
          15);
    const auto trusts = [&ranges](const char* address) {
        return std::ranges::any_of(ranges, [&](const Cidr& range) {
            return range.contains(IpAddress::parse(address).value());
        });
    };
    CHECK(trusts("104.16.0.1"));
    CHECK(trusts("104.27.255.255"));
    CHECK(trusts("172.71.255.255"));
    CHECK(trusts("2606:4700::6810:1"));
    // Old copies of the list say 104.16.0.0/12, which goes too far.
    CHECK(!trusts("104.28.0.1"));
    CHECK(!trusts("172.72.0.1"));
    CHECK(!trusts("127.0.0.1"));
}
