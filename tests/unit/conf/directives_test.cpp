#include "conf/directives.h"

#include <catch2/catch.hpp>

using namespace tidepool::conf;

TEST_CASE("directives: values of the RFC and of extensions are right", "[conf][directives]") {
    for (const char* value :
         {"no-store", "public, max-age=300", "public,max-age=31536000,immutable", "MAX-AGE=0",
          "max-age=2147483648", "private", "private=\"set-cookie, x\"", "no-cache=\"a\\\"b\"",
          "max-age=1 , no-transform", "s-maxage=10, stale-while-revalidate=5, stale-if-error=5",
          "x-own-extension=yes", "surrogate"}) {
        INFO(value);
        CHECK(wrong_in_directives(value) == "");
    }
}

TEST_CASE("directives: malformed values are named", "[conf][directives]") {
    struct Case {
        const char* value;
        const char* wrong;
    };
    const Case cases[] = {
        {"", "is empty"},
        {" ", "missing beside a comma"},
        {",", "missing beside a comma"},
        {"public,", "missing beside a comma"},
        {"public,,no-store", "missing beside a comma"},
        {"public max-age=300", "not one word"},
        {"max-age", "number of seconds"},
        {"max-age=", "number of seconds"},
        {"max-age=5m", "number of seconds"},
        {"max-age=-1", "number of seconds"},
        {"max-age=2147483649", "number of seconds"},
        {"max-age=99999999999999999999", "number of seconds"},
        {"max-age = 300", "not one word"},
        {"max-age=\"300\"", "number of seconds"},
        {"=300", "not one word"},
        {"no-stroe", "did you mean \"no-store\"?"},
        {"max_age=300", "did you mean \"max-age\"?"},
        {"imutable", "did you mean \"immutable\"?"},
        {"no-store=1", "takes no value"},
        {"public=", "takes no value"},
        {"private=\"x", "neither one word"},
        {"x-y=a b", "neither one word"},
        {"x-y=\"a\"b\"", "neither one word"},
        {"x-y=\"a\\\"", "neither one word"},
        {"no-store; max-age=1", "not one word"},
    };
    for (const auto& [value, wrong] : cases) {
        INFO(value);
        CHECK_THAT(wrong_in_directives(value), Catch::Contains(wrong));
    }
}

TEST_CASE("directives: no-store is found as a directive, not as part of a text",
          "[conf][directives]") {
    CHECK(has_directive("no-store", "no-store"));
    CHECK(has_directive("max-age=0, No-Store", "no-store"));
    CHECK(!has_directive("public, max-age=1", "no-store"));
    CHECK(!has_directive("x-no-store", "no-store"));
    CHECK(!has_directive("private=\"a, no-store\"", "no-store"));
}
