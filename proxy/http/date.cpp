#include "proxy/http/date.h"

#include <algorithm>
#include <array>
#include <chrono>

#include <fmt/format.h>

namespace tidepool::http {

namespace {

constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 7> kLongDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                    "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Eats the text from the left; any mismatch makes everything after it fail.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    void literal(std::string_view expected) {
        if (!rest_.starts_with(expected)) {
            good_ = false;
            return;
        }
        rest_.remove_prefix(expected.size());
    }

    int number(std::size_t digits) {
        int value = 0;
        if (rest_.size() < digits) good_ = false;
        for (std::size_t i = 0; good_ && i < digits; ++i) {
            const char c = rest_[i];
            if (c < '0' || c > '9') good_ = false;
            value = value * 10 + (c - '0');
        }
        if (good_) rest_.remove_prefix(digits);
        return value;
    }

    // Index of the word that comes next.
    template <std::size_t N>
    unsigned word(const std::array<std::string_view, N>& words) {
        for (unsigned i = 0; i < N; ++i) {
            if (rest_.starts_with(words[i])) {
                rest_.remove_prefix(words[i].size());
                return i;
            }
        }
        good_ = false;
        return 0;
    }

    bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }
    bool at_end() const { return good_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool good_ = true;
};

struct Parts {
    int year = 0;
    unsigned month = 0;  // 0-based
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
};

void read_time(Reader& reader, Parts& parts) {
    parts.hour = reader.number(2);
    reader.literal(":");
    parts.minute = reader.number(2);
    reader.literal(":");
    parts.second = reader.number(2);
}

std::optional<std::int64_t> to_seconds(const Parts& parts) {
    using namespace std::chrono;
    const year_month_day date{year{parts.year}, month{parts.month + 1},
                              day{static_cast<unsigned>(parts.day)}};
    // 60 is a leap second, which this count of seconds does not have: it is the one before, so that
    // no date lies behind the last that can be written.
    if (!date.ok() || parts.hour > 23 || parts.minute > 59 || parts.second > 60)
        return std::nullopt;
    return sys_seconds{sys_days{date} + hours{parts.hour} + minutes{parts.minute} +
                       seconds{std::min(parts.second, 59)}}
        .time_since_epoch()
        .count();
}

bool read_imf(Reader reader, Parts& parts) {
    reader.word(kDays);
    reader.literal(", ");
    parts.day = reader.number(2);
    reader.literal(" ");
    parts.month = reader.word(kMonths);
    reader.literal(" ");
    parts.year = reader.number(4);
    reader.literal(" ");
    read_time(reader, parts);
    reader.literal(" GMT");
    return reader.at_end();
}

bool read_rfc850(Reader reader, Parts& parts, std::int64_t now) {
    reader.word(kLongDays);
    reader.literal(", ");
    parts.day = reader.number(2);
    reader.literal("-");
    parts.month = reader.word(kMonths);
    reader.literal("-");
    parts.year = reader.number(2);
    reader.literal(" ");
    read_time(reader, parts);
    reader.literal(" GMT");
    if (!reader.at_end()) return false;
    using namespace std::chrono;
    const int this_year =
        static_cast<int>(year_month_day{floor<days>(sys_seconds{seconds{now}})}.year());
    parts.year += this_year - this_year % 100;
    if (parts.year > this_year + 50) parts.year -= 100;
    return true;
}

bool read_asctime(Reader reader, Parts& parts) {
    reader.word(kDays);
    reader.literal(" ");
    parts.month = reader.word(kMonths);
    reader.literal(" ");
    if (reader.next_is(' ')) {
        reader.literal(" ");
        parts.day = reader.number(1);
    } else {
        parts.day = reader.number(2);
    }
    reader.literal(" ");
    read_time(reader, parts);
    reader.literal(" ");
    parts.year = reader.number(4);
    return reader.at_end();
}

}  // namespace

std::string format_date(std::int64_t seconds) {
    using namespace std::chrono;
    static constexpr std::int64_t kLast = 253'402'300'799;  // the end of the year 9999
    const sys_seconds time{std::chrono::seconds{std::clamp<std::int64_t>(seconds, 0, kLast)}};
    const sys_days day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[weekday{day}.c_encoding()],
                       static_cast<unsigned>(date.day()),
                       kMonths[static_cast<unsigned>(date.month()) - 1],
                       static_cast<int>(date.year()), clock.hours().count(),
                       clock.minutes().count(), clock.seconds().count());
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) {
    Parts parts;
    if (read_imf(Reader(text), parts) || read_rfc850(Reader(text), parts, now) ||
        read_asctime(Reader(text), parts)) {
        return to_seconds(parts);
    }
    return std::nullopt;
}

}  // namespace tidepool::http
