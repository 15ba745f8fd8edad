#include "conf/url_path.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

TEST_CASE("url path: as the edge normalises it", "[conf][url]") {
    CHECK(normalised_path("/a/B-1._~") == "/a/B-1._~");
    CHECK(normalised_path("/%41%2d%7e%2f%c3%a9") == "/A-~%2F%C3%A9");
    CHECK(normalised_path("/a b\"<>\\^`{|}\x7f") == "/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%7F");
    CHECK(normalised_path("/!$&'()*+,;=:@") == "/!$&'()*+,;=:@");
    CHECK(normalised_path("") == "");
    for (const char* path : {"/%", "/%4", "/%4g", "/%%41"}) {
        CAPTURE(path);
        CHECK_FALSE(normalised_path(path));
    }
}

TEST_CASE("url path: a key's path is the normalised one", "[conf][url]") {
    for (const std::string key :
         {"uploads/private/a.jpg", "uploads/my private/", "uploads/priv\xc3\xa9/", "100%/a%41",
          "a!$&'()*+,;=:@b", "a\"<>\\^`{|}"}) {
        CAPTURE(key);
        const std::string path = escaped_path(key);
        CHECK(normalised_path(path) == path);
        CHECK(is_spelt_plainly(path));
    }
    CHECK(escaped_path("my private/100%") == "my%20private/100%25");
}

TEST_CASE("url path: what rules that compare text would not know", "[conf][url]") {
    for (const char* path : {"/a/b.jpg", "/a%20b", "/%61", "/%c3%a9", "/a b", "/100%25"}) {
        CAPTURE(path);
        CHECK(is_spelt_plainly(path));
    }
    for (const char* path : {"/a%2Fb", "/a%2fb", "/%21", "/%40", "/%3A", "/%", "/%zz"}) {
        CAPTURE(path);
        CHECK_FALSE(is_spelt_plainly(path));
    }
}
