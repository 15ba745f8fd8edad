#include "proxy/api/query_fields.h"

#include "proxy/api/pool_json.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;

namespace {

std::string field_of(const ApiAnswer& answer) {
    CHECK(answer.status == 400);
    return Json::parse(answer.body)["details"][0]["field"].get<std::string>();
}

}  // namespace

TEST_CASE("query fields: a limit is 1 to 1000, and 100 where none is said", "[api][query]") {
    CHECK(read_page_limit("") == 100);
    CHECK(read_page_limit("limit=") == 100);
    CHECK(read_page_limit("a=b&limit=1") == 1);
    CHECK(read_page_limit("limit=1000") == 1000);
    for (const char* const query :
         {"limit=0", "limit=1001", "limit=-1", "limit=+1", "limit=1x", "limit=x", "limit=1.5",
          "limit=99999999999999999999", "limit=%201"}) {
        INFO(query);
        const auto limit = read_page_limit(query);
        REQUIRE_FALSE(limit);
        CHECK(field_of(limit.error()) == "limit");
    }
}

TEST_CASE("query fields: a cursor comes back as it was given", "[api][query]") {
    for (const char* const last : {"7", "0b1f6c2e-9a7d-4c55-8a3e-000000000007", "", "a:b"}) {
        const auto read = read_cursor("cursor=" + cursor_of("images", last), "images");
        REQUIRE(read);
        CHECK(*read == last);
    }
    const auto none = read_cursor("limit=7", "images");
    REQUIRE(none);
    CHECK_FALSE(*none);
}

TEST_CASE("query fields: another list's cursor, and what is none, is refused", "[api][query]") {
    for (const std::string& text : {cursor_of("jobs", "7"), std::string("7"), std::string("!"),
                                    std::string("aW1hZ2Vz"), cursor_of("images", "7") + "="}) {
        INFO(text);
        const auto read = read_cursor("cursor=" + text, "images");
        REQUIRE_FALSE(read);
        CHECK(field_of(read.error()) == "cursor");
    }
}

TEST_CASE("query fields: a field that nobody knows is refused by its name", "[api][query]") {
    CHECK_FALSE(check_fields("", {}));
    CHECK_FALSE(check_fields("limit=1&&owner", {"limit", "owner"}));
    CHECK(field_of(check_fields("limits=1", {"limit"}).value()) == "limits");
    CHECK(field_of(check_fields("limit=1&limit=2", {"limit"}).value()) == "limit");
    CHECK(field_of(check_fields("x", {}).value()) == "x");
}
