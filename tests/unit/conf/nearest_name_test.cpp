#include "conf/nearest_name.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

TEST_CASE("nearest name: the edit distance counts inserts, drops and replacements",
          "[conf][nearest]") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("abc", "") == 3);
    CHECK(edit_distance("abc", "abc") == 0);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("listen", "lsiten") == 2);
}

TEST_CASE("nearest name: a slip finds its name, a stranger finds none", "[conf][nearest]") {
    const std::vector<std::string_view> known{"listen", "threads", "socket_mode", "backlog",
                                              "request_line"};
    CHECK(nearest_name("thread", known) == "threads");
    CHECK(nearest_name("lisen", known) == "listen");
    CHECK(nearest_name("Listen", known) == "listen");
    CHECK(nearest_name("socketmode", known) == "socket_mode");
    CHECK(nearest_name("request_line_bytes", known) == "request_line");
    CHECK(nearest_name("mode", known) == "socket_mode");
    CHECK(!nearest_name("colour", known));
    CHECK(!nearest_name("", known));
    CHECK(!nearest_name(std::string(100'000, 'x'), known));
    CHECK(!nearest_name("thread", {}));
}
