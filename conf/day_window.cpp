#include "conf/day_window.h"

#include "conf/ascii.h"

#include <optional>

namespace tidepool::conf {

namespace {

constexpr unsigned kDayMinutes = 24 * 60;

// "06:30" as minutes of the day.
std::optional<unsigned> parse_minute(std::string_view text) {
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    for (const std::size_t place : {0U, 1U, 3U, 4U}) {
        if (!is_digit(text[place])) return std::nullopt;
    }
    const auto pair = [text](std::size_t at) {
        return static_cast<unsigned>((text[at] - '0') * 10 + (text[at + 1] - '0'));
    };
    const unsigned minute = pair(0) * 60 + pair(3);
    if (pair(3) > 59 || minute > kDayMinutes) return std::nullopt;
    return minute;
}

}  // namespace

bool DayWindow::contains(std::int64_t time_s) const {
    const auto minute = static_cast<unsigned>(((time_s % kDayS) + kDayS) % kDayS / 60);
    if (first < end) return minute >= first && minute < end;
    return minute >= first || minute < end;
}

Result<DayWindow> parse_day_window(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (dash != text.npos) {
        const auto first = parse_minute(text.substr(0, dash));
        const auto end = parse_minute(text.substr(dash + 1));
        if (first && end && *first != *end && *first < kDayMinutes)
            return DayWindow{.first = *first, .end = *end};
    }
    return fail(ErrorKind::invalid, "expected a time of the day such as \"22:00-06:00\"");
}

}  // namespace tidepool::conf
