// A part of the day, as an operator writes it: "22:00-06:00". Pure.
#pragma once

#include "conf/error.h"

#include <cstdint>
#include <string_view>

namespace tidepool::conf {

inline constexpr std::int64_t kDayS = 86'400;  // seconds; UTC has no longer days as POSIX counts it

// Minutes of a UTC day, the last one not included. One that ends before it begins goes past
// midnight.
struct DayWindow {
    unsigned first = 0;
    unsigned end = 24 * 60;
    bool operator==(const DayWindow&) const = default;

    bool contains(std::int64_t time_s) const;
};

// Two times of the day with "-" between; the second may be 24:00. Invalid for any other text, and
// for a window of no length.
Result<DayWindow> parse_day_window(std::string_view text);

}  // namespace tidepool::conf
