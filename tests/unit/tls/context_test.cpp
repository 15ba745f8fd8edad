#include "proxy/tls/context.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::tls;

TEST_CASE("tls context: a wildcard stands for the first label of a name", "[tls]") {
    struct Case {
        std::string host;
        std::string wildcard;
    };
    const Case all[] = {
        {"a.example", "*.example"},
        {"a.b.example", "*.b.example"},
        {"*.b.example", "*.b.example"},
        {"localhost", ""},
        {"", ""},
        {".example", "*.example"},
    };
    for (const Case& each : all) {
        CAPTURE(each.host);
        CHECK(Context::wildcard_of(each.host) == each.wildcard);
    }
}
