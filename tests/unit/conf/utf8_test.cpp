#include "conf/utf8.h"

#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using tidepool::conf::is_utf8;

TEST_CASE("utf8: the ends of each length", "[conf][utf8]") {
    for (const std::string_view text :
         {"", "a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
          "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
        CAPTURE(text);
        CHECK(is_utf8(text));
        CHECK(is_utf8("a" + std::string(text) + "z"));
    }
    CHECK(is_utf8(std::string_view("\0", 1)));
}

TEST_CASE("utf8: what is cut, overlong, a surrogate or beyond is none", "[conf][utf8]") {
    for (const std::string_view text :
         {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE2\x82",
          "\xE2\x82\x41", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98",
          "\xF0\x9F\x98\x41", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF"}) {
        CAPTURE(text);
        CHECK_FALSE(is_utf8(text));
        CHECK_FALSE(is_utf8("a" + std::string(text)));
        CHECK_FALSE(is_utf8(std::string(text) + "z"));
    }
}
