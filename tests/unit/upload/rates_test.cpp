#include "proxy/upload/rates.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;

TEST_CASE("rates: an address of IPv6 counts as its /64, one of IPv4 as itself", "[upload][rate]") {
    struct Case {
        std::string first;
        std::string second;
        bool is_one;
    };
    const Case all[] = {
        {"203.0.113.7", "203.0.113.7", true},
        {"203.0.113.7", "203.0.113.8", false},
        {"2001:db8:1:2::1", "2001:db8:1:2::1", true},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"2001:db8:1:2::1", "2001:DB8:1:2:0:0:0:9", true},
        {"::ffff:203.0.113.7", "::ffff:203.0.113.8", false},
        {"unix:", "unix:", true},
        {"", "203.0.113.7", false},
    };
    for (const Case& each : all) {
        INFO(each.first << " and " << each.second);
        serve::RateLimiter limiter(100);
        const Rate rate{"uploads", 1, 1000};
        CHECK_FALSE(refuse_address(limiter, rate, each.first));
        CHECK(refuse_address(limiter, rate, each.second).has_value() == each.is_one);
    }
}

TEST_CASE("rates: holders and addresses, uploads and sessions are counted apart",
          "[upload][rate]") {
    serve::RateLimiter limiter(100);
    CHECK_FALSE(refuse_holder(limiter, {"uploads", 1, 1000}, "::1"));
    CHECK_FALSE(refuse_address(limiter, {"uploads", 1, 1000}, "::1"));
    CHECK_FALSE(refuse_holder(limiter, {"sessions", 1, 1000}, "::1"));
    const auto refused = refuse_holder(limiter, {"uploads", 1, 1000}, "::1");
    REQUIRE(refused);
    CHECK(refused->status == 429);
    CHECK(refused->fields == "Retry-After: 60\r\n");
    CHECK(refused->body.find("too many uploads in a minute") != std::string::npos);
    CHECK_FALSE(refuse_holder(limiter, {"uploads", 1, 61'000}, "::1"));
    CHECK_FALSE(refuse_holder(limiter, {"uploads", 0, 61'000}, "::1"));
}
