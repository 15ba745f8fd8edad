#include "proxy/http/date.h"

#include <array>
#include <chrono>
#include <ctime>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool::http;

namespace {
constexpr std::int64_t kNow = 1'795'000'000;  // November 2026
}

TEST_CASE("date: the three forms of RFC 9110 are read", "[http][date]") {
    CHECK(parse_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow) == 784'111'777);
    CHECK(parse_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow) == 784'111'777);
    CHECK(parse_date("Sun Nov  6 08:49:37 1994", kNow) == 784'111'777);
    CHECK(parse_date("Thu, 01 Jan 1970 00:00:00 GMT", kNow) == 0);
    CHECK(parse_date("Thu, 29 Feb 2024 23:59:59 GMT", kNow) == 1'709'251'199);
    CHECK(parse_date("Fri, 31 Dec 9999 23:59:59 GMT", kNow) == 253'402'300'799);
}

TEST_CASE("date: a year of two digits is never more than fifty years ahead", "[http][date]") {
    CHECK(parse_date("Thursday, 01-Jan-70 00:00:00 GMT", kNow) == 3'155'760'000);
    CHECK(parse_date("Saturday, 01-Jan-77 00:00:00 GMT", kNow) == 220'924'800);
    CHECK(parse_date("Thursday, 01-Jan-26 00:00:00 GMT", kNow) == 1'767'225'600);
}

TEST_CASE("date: anything else is none", "[http][date]") {
    for (const char* text : {"",
                             "now",
                             "0",
                             "Sun, 06 Nov 1994 08:49:37",
                             "Sun, 06 Nov 1994 08:49:37 UTC",
                             "Sun, 6 Nov 1994 08:49:37 GMT",
                             "Sun, 06 Nov 94 08:49:37 GMT",
                             "Sun, 06 Nix 1994 08:49:37 GMT",
                             "Sun, 32 Nov 1994 08:49:37 GMT",
                             "Sun, 00 Nov 1994 08:49:37 GMT",
                             "Sun, 30 Feb 2024 00:00:00 GMT",
                             "Wed, 29 Feb 2023 00:00:00 GMT",
                             "Sun, 06 Nov 1994 24:00:00 GMT",
                             "Sun, 06 Nov 1994 08:60:37 GMT",
                             "Sun, 06 Nov 1994 08:49:61 GMT",
                             "Sun, 06 Nov 1994 08:49:37 GMT ",
                             " Sun, 06 Nov 1994 08:49:37 GMT",
                             "Sun, 06 Nov 1994 08:49:37 GMTx",
                             "Sun, -6 Nov 1994 08:49:37 GMT",
                             "Sun, 06 Nov 1994 08:4:37 GMT",
                             "784111777"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_date(text, kNow));
    }
}

TEST_CASE("date: what is written is read back", "[http][date]") {
    CHECK(format_date(784'111'777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(format_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(format_date(253'402'300'799) == "Fri, 31 Dec 9999 23:59:59 GMT");
    for (std::int64_t time = 1; time < 253'402'300'800; time = time * 3 + 86'399) {
        CAPTURE(time);
        CHECK(parse_date(format_date(time), kNow) == time);
    }
}

TEST_CASE("date: all forms of a time are the same second, over centuries and leap days",
          "[http][date]") {
    using namespace std::chrono;
    const auto check_forms = [](std::int64_t time, std::int64_t now) {
        std::tm utc{};
        gmtime_r(&time, &utc);
        for (const char* form :
             {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
            std::array<char, 64> text{};
            REQUIRE(std::strftime(text.data(), text.size(), form, &utc) > 0);
            CAPTURE(text.data());
            CHECK(parse_date(text.data(), now) == time);
        }
        CHECK(parse_date(format_date(time), now) == time);
    };
    // Every 29th of February and the days around it, at the last second of the day.
    for (int at = 1972; at <= 2400; at += 4) {
        for (const auto& day : {year{at} / February / 28, year{at} / February / 29,
                                year{at} / March / 1, year{at} / December / 31}) {
            if (!day.ok()) continue;  // 2100, 2200 and 2300 have no such day
            const std::int64_t time =
                sys_seconds{sys_days{day} + days{1}}.time_since_epoch().count() - 1;
            check_forms(time, time);
        }
    }
    // Two digits are enough for what is at most 50 years ahead, or less than 50 back.
    const std::int64_t year_s = 31'556'952;
    for (std::int64_t ahead = -49; ahead <= 49; ++ahead)
        check_forms(kNow + ahead * year_s, kNow);
}

TEST_CASE("date: February has 29 days only in leap years", "[http][date]") {
    for (const auto& [year, leap] :
         std::initializer_list<std::pair<const char*, bool>>{{"2000", true},
                                                             {"2024", true},
                                                             {"2400", true},
                                                             {"1900", false},
                                                             {"2023", false},
                                                             {"2100", false}}) {
        CAPTURE(year);
        const std::string text = std::string("Mon, 29 Feb ") + year + " 00:00:00 GMT";
        CHECK(parse_date(text, kNow).has_value() == leap);
    }
}

TEST_CASE("date: a leap second is the one before", "[http][date]") {
    CHECK(parse_date("Sat, 31 Dec 2016 23:59:60 GMT", kNow) ==
          parse_date("Sat, 31 Dec 2016 23:59:59 GMT", kNow));
}
