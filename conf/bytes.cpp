#include "conf/bytes.h"

#include "conf/quote.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <span>

namespace tidepool::conf {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::array kSizeUnits{
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"KiB", kKiB},
    Unit{"MiB", kMiB},
    Unit{"GiB", kGiB},
    Unit{"TiB", kTiB},
    Unit{"kB", 1'000},
    Unit{"MB", 1'000'000},
    Unit{"GB", 1'000'000'000},
    Unit{"TB", 1'000'000'000'000},
};
constexpr std::array kDurationUnits{
    Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000}, Unit{"h", 3'600'000}, Unit{"d", 86'400'000},
};
// What format_* picks from, largest first.
constexpr std::array kShownSizes{Unit{"TiB", kTiB}, Unit{"GiB", kGiB}, Unit{"MiB", kMiB},
                                 Unit{"KiB", kKiB}};
constexpr std::array kShownDurations{Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000},
                                     Unit{"s", 1'000}};

constexpr std::string_view kSizeHelp =
    "is not a size: write a whole number and B, KiB, MiB, GiB or TiB (or kB, MB, GB, TB), such as "
    "\"64MiB\"";
constexpr std::string_view kDurationHelp =
    "is not a duration: write a whole number and ms, s, m, h or d, such as \"250ms\" or \"15m\"";

std::unexpected<Error> refuse(std::string_view text, std::string_view why) {
    return fail(ErrorKind::invalid, quote(text) + " " + std::string(why));
}

// "12KiB" as 12 * 1024, if that is at most `limit`.
Result<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                      std::uint64_t limit, std::string_view help) {
    const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
    const std::string_view unit_name = text.substr(digits.size());
    const auto unit = std::ranges::find(units, unit_name, &Unit::name);
    if (digits.empty() || unit == units.end()) return refuse(text, help);

    std::uint64_t count = 0;
    const auto error = std::from_chars(digits.data(), digits.data() + digits.size(), count).ec;
    if (error != std::errc() || count > limit / unit->factor) return refuse(text, "is too large");
    return count * unit->factor;
}

// "12KiB" where the value is a whole number of one of the units, else nothing.
std::optional<std::string> format_whole(std::uint64_t value, std::span<const Unit> units) {
    const auto fits = [value](const Unit& unit) { return value != 0 && value % unit.factor == 0; };
    const auto unit = std::ranges::find_if(units, fits);
    if (unit == units.end()) return {};
    return std::to_string(value / unit->factor) + std::string(unit->name);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
    return parse_with_unit(text, kSizeUnits, std::numeric_limits<std::uint64_t>::max(), kSizeHelp);
}

std::string format_size(std::uint64_t bytes) {
    return format_whole(bytes, kShownSizes).value_or(std::to_string(bytes) + "B");
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
    constexpr std::uint64_t kLongest = std::numeric_limits<std::int64_t>::max();
    const auto count = parse_with_unit(text, kDurationUnits, kLongest, kDurationHelp);
    if (!count) return std::unexpected(count.error());
    return std::chrono::milliseconds(static_cast<std::int64_t>(*count));
}

std::string format_duration(std::chrono::milliseconds duration) {
    if (duration.count() == 0) return "0s";
    if (duration.count() < 0) return std::to_string(duration.count()) + "ms";
    const auto count = static_cast<std::uint64_t>(duration.count());
    return format_whole(count, kShownDurations).value_or(std::to_string(count) + "ms");
}

}  // namespace tidepool::conf
