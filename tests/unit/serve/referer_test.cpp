#include "proxy/serve/referer.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::serve;

using Kind = Referer::Kind;

TEST_CASE("referer: the host of a page", "[serve][referer]") {
    struct Case {
        const char* value;
        const char* host;
    };
    const Case all[] = {
        {"https://example.com/", "example.com"},
        {"https://example.com", "example.com"},
        {"http://example.com/a/b?c=d", "example.com"},
        {"HTTPS://Example.COM/", "Example.COM"},
        {"https://example.com:8443/", "example.com"},
        {"https://example.com:/", "example.com"},
        {"https://example.com./", "example.com"},
        {"https://example.com?a", "example.com"},
        {"https://example.com#a", "example.com"},
        {"https://a.b-c.example_1.com/", "a.b-c.example_1.com"},
        {"https://xn--bcher-kva.example/", "xn--bcher-kva.example"},
        {"https://localhost/", "localhost"},
        {"https://192.0.2.1:81/", "192.0.2.1"},
        {"https://[2001:db8::1]/", "[2001:db8::1]"},
        {"https://[2001:db8::1]:8080/a", "[2001:db8::1]"},
        // Whatever stands behind the host is not the host.
        {"https://evil.example/https://good.example/", "evil.example"},
        {"https://evil.example?@good.example", "evil.example"},
        {"https://evil.example#@good.example", "evil.example"},
        {"https://evil.example/@good.example", "evil.example"},
        {"https://evil.example/\\good.example", "evil.example"},
        {"https://good.example.evil.example/", "good.example.evil.example"},
        // Nor is what stands in front of it.
        {"https://good.example@evil.example/", "evil.example"},
        {"https://good.example:443@evil.example/", "evil.example"},
        {"https://good.example%2F@evil.example/", "evil.example"},
        {"https://user:pass@example.com/", "example.com"},
        {"https://@example.com/", "example.com"},
    };
    for (const Case& each : all) {
        CAPTURE(each.value);
        const Referer referer = read_referer(each.value);
        CHECK(referer.kind == Kind::page);
        CHECK(referer.host == each.host);
    }
}

TEST_CASE("referer: none, or of no page of the web", "[serve][referer]") {
    for (const char* value :
         {"", "about:client", "about:blank", "android-app://com.google.android.gm/",
          "chrome-extension://abcdef/", "app:x", "data:text/html,x", "file:///a"}) {
        CAPTURE(value);
        CHECK(read_referer(value).kind == Kind::none);
        CHECK(read_referer(value).host.empty());
    }
}

TEST_CASE("referer: what no browser sends", "[serve][referer]") {
    for (const std::string value : {"example.com",
                                    "/path",
                                    "//example.com/",
                                    "https",
                                    "https:",
                                    "https:/",
                                    "https://",
                                    "https:///",
                                    "https://?",
                                    "https:example.com",
                                    "https:/example.com",
                                    "https:\\\\example.com",
                                    "://example.com",
                                    " https://example.com/",
                                    "1ttps://example.com/",
                                    "ht tps://example.com",
                                    "https://good.example\\@evil.example/",
                                    "https://evil.example\\.good.example/",
                                    "https://a@b@example.com/",
                                    "https://good.example@/",
                                    "https://a b@example.com/",
                                    "https://exa mple.com/",
                                    "https://example.com /",
                                    "https://example.com\t",
                                    "https://good.example,evil.example/",
                                    "https://good%2eexample/",
                                    "https://b\xc3\xbc"
                                    "cher.example/",
                                    "https://.example.com/",
                                    "https://example..com/",
                                    "https://example.com../",
                                    "https://./",
                                    "https://*.example.com/",
                                    "https://*/",
                                    "https://example.com:80x/",
                                    "https://example.com:-1/",
                                    "https://example.com:123456/",
                                    "https://example.com:80:80/",
                                    "https://[2001:db8::1/",
                                    "https://[2001:db8::1]x/",
                                    "https://[::1%25eth0]/",
                                    "https://[2001:db8::1]./",
                                    "https://[1.2.3.4]/",
                                    "https://[]/",
                                    "https://2001:db8::1/",
                                    "https://;good.example/",
                                    "https://good.example;evil.example/"}) {
        CAPTURE(value);
        CHECK(read_referer(value).kind == Kind::malformed);
    }
    CHECK(read_referer("https://" + std::string(300, 'a') + ".example/").kind == Kind::malformed);
    CHECK(read_referer(std::string("https://good.example\0.evil.example/", 35)).kind ==
          Kind::malformed);
}
