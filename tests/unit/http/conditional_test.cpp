#include "proxy/http/conditional.h"

#include <catch2/catch.hpp>

using namespace tidepool::http;
using Verdict = ConditionVerdict;

namespace {

constexpr Validators kCurrent{"\"abc\"", 784'111'777};
constexpr std::int64_t kNow = 1'795'000'000;
constexpr const char* kSame = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* kBefore = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* kAfter = "Sun, 06 Nov 1994 08:49:38 GMT";

Verdict judge(const Conditions& conditions) {
    return judge_conditions(conditions, kCurrent, kNow);
}

}  // namespace

TEST_CASE("conditional: lists of entity tags", "[http][conditional]") {
    struct Case {
        const char* list;
        bool strong, weak;
    };
    for (const Case& each : std::initializer_list<Case>{{"\"abc\"", true, true},
                                                        {"W/\"abc\"", false, true},
                                                        {"*", true, true},
                                                        {"\"x\", \"abc\"", true, true},
                                                        {"\"x\",\"abc\"", true, true},
                                                        {" , \"abc\" ,", true, true},
                                                        {"\"x\" , W/\"abc\"", false, true},
                                                        {"\"a,b\", \"abc\"", true, true},
                                                        {"\"\"", false, false},
                                                        {"abc", false, false},
                                                        {"\"abc", false, false},
                                                        {"\"abcd\"", false, false},
                                                        {"w/\"abc\"", false, false},
                                                        {"W/ \"abc\"", false, false},
                                                        {"", false, false},
                                                        {"\"x\"\"abc\"", false, false},
                                                        {"x, \"abc\"", false, false},
                                                        {"*, \"x\"", false, false}}) {
        CAPTURE(each.list);
        CHECK(etag_list_matches(each.list, "\"abc\"", false) == each.strong);
        CHECK(etag_list_matches(each.list, "\"abc\"", true) == each.weak);
    }
}

TEST_CASE("conditional: each field alone", "[http][conditional]") {
    CHECK(judge({}) == Verdict::proceed);
    CHECK(judge({.if_match = "\"abc\""}) == Verdict::proceed);
    CHECK(judge({.if_match = "*"}) == Verdict::proceed);
    CHECK(judge({.if_match = "W/\"abc\""}) == Verdict::precondition_failed);
    CHECK(judge({.if_match = "\"x\""}) == Verdict::precondition_failed);
    CHECK(judge({.if_unmodified_since = kSame}) == Verdict::proceed);
    CHECK(judge({.if_unmodified_since = kAfter}) == Verdict::proceed);
    CHECK(judge({.if_unmodified_since = kBefore}) == Verdict::precondition_failed);
    CHECK(judge({.if_unmodified_since = "nonsense"}) == Verdict::proceed);
    CHECK(judge({.if_none_match = "\"abc\""}) == Verdict::not_modified);
    CHECK(judge({.if_none_match = "W/\"abc\""}) == Verdict::not_modified);
    CHECK(judge({.if_none_match = "*"}) == Verdict::not_modified);
    CHECK(judge({.if_none_match = "\"x\""}) == Verdict::proceed);
    CHECK(judge({.if_modified_since = kSame}) == Verdict::not_modified);
    CHECK(judge({.if_modified_since = kAfter}) == Verdict::not_modified);
    CHECK(judge({.if_modified_since = kBefore}) == Verdict::proceed);
    CHECK(judge({.if_modified_since = "nonsense"}) == Verdict::proceed);
}

TEST_CASE("conditional: the order of RFC 9110, 13.2.2", "[http][conditional]") {
    CHECK(judge({.if_match = "\"abc\"", .if_unmodified_since = kBefore}) == Verdict::proceed);
    CHECK(judge({.if_match = "\"x\"", .if_unmodified_since = kAfter}) ==
          Verdict::precondition_failed);
    CHECK(judge({.if_none_match = "\"x\"", .if_modified_since = kAfter}) == Verdict::proceed);
    CHECK(judge({.if_none_match = "\"abc\"", .if_modified_since = kBefore}) ==
          Verdict::not_modified);
    CHECK(judge({.if_match = "\"x\"", .if_none_match = "\"abc\""}) == Verdict::precondition_failed);
    CHECK(judge({.if_match = "\"abc\"", .if_none_match = "\"abc\""}) == Verdict::not_modified);
    CHECK(judge({.if_unmodified_since = kBefore, .if_modified_since = kAfter}) ==
          Verdict::precondition_failed);
}

TEST_CASE("conditional: a range counts only for exactly this file", "[http][conditional]") {
    CHECK_FALSE(range_applies("", kCurrent, kNow));
    CHECK(range_applies("\"abc\"", kCurrent, kNow));
    CHECK_FALSE(range_applies("W/\"abc\"", kCurrent, kNow));
    CHECK_FALSE(range_applies("\"x\"", kCurrent, kNow));
    CHECK(range_applies(kSame, kCurrent, kNow));
    CHECK_FALSE(range_applies(kAfter, kCurrent, kNow));
    CHECK_FALSE(range_applies(kBefore, kCurrent, kNow));
    CHECK_FALSE(range_applies("nonsense", kCurrent, kNow));
    // Within a second of the change a date says too little.
    CHECK_FALSE(range_applies(kSame, kCurrent, kCurrent.last_modified + 1));
}
