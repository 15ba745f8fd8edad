#include "transform/printable.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::transform;
using namespace std::string_literals;

TEST_CASE("printable text: what can be read stays, what cannot becomes a question mark",
          "[inspect][printable]") {
    struct Case {
        std::string bytes;
        std::string shown;
    };
    for (const Case& each : std::initializer_list<Case>{
             {"", ""},
             {"  ", ""},
             {"  EOS R5  ", "EOS R5"},
             {"Pr\u00E9 \u65E5\u672C \U0001F4F7", "Pr\u00E9 \u65E5\u672C \U0001F4F7"},
             {"a\nb\tc\x1b[31m\x7F", "a?b?c?[31m?"},
             {"a\0b"s, "a?b"},
             {"\u0085\u009B", "??"},                        // controls of ISO 6429
             {"\u202Egnp\u202C \u200B\uFEFF", "?gnp? ??"},  // turned around, and nothing at all
             {"\u2028", "?"},
             {"\xFF\xFE", "??"},
             {"\xC0\xAF", "??"},            // '/' in too many bytes
             {"\xED\xA0\x80", "???"},       // half a surrogate pair
             {"\xF4\x90\x80\x80", "????"},  // beyond Unicode
             {"\xE6\x97", "??"},            // cut
             {"\xE6\x97"
              "A",
              "??A"},
             {"<script>\"'&", "<script>\"'&"},  // who shows it knows how
         }) {
        CAPTURE(each.bytes);
        CHECK(printable_text(each.bytes, 64) == each.shown);
    }
}

TEST_CASE("printable text: it is cut between characters", "[inspect][printable]") {
    CHECK(printable_text("abcdef", 3) == "abc");
    CHECK(printable_text("ab\u00E9", 3) == "ab");
    CHECK(printable_text("ab\u00E9", 4) == "ab\u00E9");
    CHECK(printable_text("ab cd", 3) == "ab");
    CHECK(printable_text("abc", 0).empty());
    CHECK(printable_text(std::string(100'000, '\xFF'), 64) == std::string(64, '?'));
}
