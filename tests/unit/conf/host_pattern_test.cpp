#include "conf/host_pattern.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

bool is_listed(const std::vector<std::string>& entries, std::string_view authority) {
    for (const std::string& entry : entries)
        REQUIRE(wrong_in_host_pattern(entry) == "");
    return HostPatterns(entries).match(host_of_authority(authority));
}

}  // namespace

TEST_CASE("host patterns: what an authority's host is", "[conf][host]") {
    struct Case {
        const char* authority;
        const char* host;
    };
    for (const auto& [authority, host] : std::initializer_list<Case>{
             {"a.example", "a.example"},
             {"a.example:8080", "a.example"},
             {"a.example:", "a.example"},  // RFC 3986, 3.2.3
             {"a.example.", "a.example"},
             {"a.example.:80", "a.example"},
             {"a.example..", "a.example."},  // still no name
             {"192.0.2.1:80", "192.0.2.1"},
             {"[2001:db8::1]", "[2001:db8::1]"},
             {"[2001:db8::1]:443", "[2001:db8::1]"},
             {"", ""},
             {":80", ""},
             {"a.example:http", ""},
             {"a.example:80:80", ""},
             {"2001:db8::1", ""},
             {"[2001:db8::1", ""},
             {"user@a.example", ""},
             {"a.example@b.example", ""},
             {"a.example:80@b.example", ""},
         }) {
        CAPTURE(authority);
        CHECK(host_of_authority(authority) == host);
    }
}

TEST_CASE("host patterns: a name is itself, whatever its case, port and root", "[conf][host]") {
    const std::vector<std::string> entries{"Images.Example", "b.example.", "localhost"};
    for (const char* authority :
         {"images.example", "IMAGES.EXAMPLE", "images.example:8443", "images.example.",
          "Images.Example.:80", "b.example", "B.example:1", "localhost"}) {
        CAPTURE(authority);
        CHECK(is_listed(entries, authority));
    }
    for (const char* authority :
         {"", "example", "a.images.example", "images.example.org", "ximages.example",
          "images.exampl", "images.example..", ".images.example", "images.example:x",
          "user@images.example", "images.example@b", "localhost.localhost", "images\\.example"}) {
        CAPTURE(authority);
        CHECK_FALSE(is_listed(entries, authority));
    }
}

TEST_CASE("host patterns: a star is one or more parts in front", "[conf][host]") {
    const std::vector<std::string> entries{"*.Example.com"};
    for (const char* authority : {"a.example.com", "a.b.example.com", "A.EXAMPLE.COM:80",
                                  "a.example.com.", "xn--bcher-kva.example.com"}) {
        CAPTURE(authority);
        CHECK(is_listed(entries, authority));
    }
    for (const char* authority :
         {"example.com", ".example.com", "..example.com", "a..example.com", ".a.example.com",
          "aexample.com", "a.example.com.evil.org", "a.example.comx", "*example.com", ""}) {
        CAPTURE(authority);
        CHECK_FALSE(is_listed(entries, authority));
    }
    CHECK(is_listed({"example.com", "*.example.com"}, "example.com"));
}

TEST_CASE("host patterns: addresses, of which IPv6 has many texts", "[conf][host]") {
    const std::vector<std::string> entries{"192.0.2.1", "[2001:DB8::0:1]"};
    for (const char* authority : {"192.0.2.1", "192.0.2.1:8080", "[2001:db8::1]",
                                  "[2001:db8:0:0:0:0:0:1]:80", "[2001:DB8::1]:"}) {
        CAPTURE(authority);
        CHECK(is_listed(entries, authority));
    }
    for (const char* authority : {"192.0.2.10", "[2001:db8::2]", "[192.0.2.1]", "2001:db8::1", "[]",
                                  "[2001:db8::1%25eth0]", "[2001:db8::1]x:80"}) {
        CAPTURE(authority);
        CHECK_FALSE(is_listed(entries, authority));
    }
}

TEST_CASE("host patterns: the names that a zone can have", "[conf][host]") {
    CHECK(zone_names({"Images.Example.", "*.example", "192.0.2.1", "[2001:db8::1]", "localhost",
                      "1.example"}) == std::vector<std::string>{"images.example", "1.example"});
    CHECK(zone_names({}).empty());
}

TEST_CASE("host patterns: none lists nothing", "[conf][host]") {
    CHECK(HostPatterns().empty());
    CHECK(HostPatterns(std::vector<std::string>()).empty());
    CHECK_FALSE(HostPatterns().match("a.example"));
    for (const char* entry : {"a", "*.a", "[::1]"})
        CHECK_FALSE(HostPatterns({entry}).empty());
}
