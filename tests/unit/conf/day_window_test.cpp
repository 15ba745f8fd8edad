#include "conf/day_window.h"

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

constexpr std::int64_t kDay = 1'795'046'400;  // a midnight, UTC

std::int64_t at(int hour, int minute = 0) {
    return kDay + hour * 3600 + minute * 60;
}

}  // namespace

TEST_CASE("day window: two times of the day", "[conf][day_window]") {
    CHECK(parse_day_window("22:00-06:30").value() == DayWindow{.first = 1320, .end = 390});
    CHECK(parse_day_window("00:00-24:00").value() == DayWindow{});
    for (const char* text : {"", "-", "22:00", "22:00-", "2:00-3:00", "22:00-22:00", "24:00-06:00",
                             "22:60-23:00", "25:00-26:00", "22:00-24:01", "22:00-06:00 ",
                             "aa:00-06:00", "22.00-06.00", "22:00-+6:00"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_day_window(text));
    }
}

TEST_CASE("day window: its end is not in it, and it may go past midnight", "[conf][day_window]") {
    const DayWindow day = parse_day_window("06:00-08:00").value();
    CHECK_FALSE(day.contains(at(5, 59)));
    CHECK(day.contains(at(6)));
    CHECK(day.contains(at(7, 59)));
    CHECK_FALSE(day.contains(at(8)));
    const DayWindow night = parse_day_window("22:00-06:00").value();
    CHECK(night.contains(at(23)));
    CHECK(night.contains(at(0)));
    CHECK(night.contains(at(5, 59)));
    CHECK_FALSE(night.contains(at(6)));
    CHECK_FALSE(night.contains(at(21, 59)));
    CHECK(parse_day_window("00:00-24:00").value().contains(at(23, 59)));
    CHECK(parse_day_window("23:59-24:00").value().contains(-1));
}
