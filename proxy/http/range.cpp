#include "proxy/http/range.h"

#include "conf/ascii.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace tidepool::http {

namespace {

// About what a part's boundary and header lines take.
constexpr std::uint64_t kPartOverhead = 80;

// Digits only; a number too big for 64 bits is as good as the biggest, since no file reaches that
// far.
std::optional<std::uint64_t> parse_number(std::string_view text) {
    if (text.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
        value = value > (kMax - digit) / 10 ? kMax : value * 10 + digit;
    }
    return value;
}

struct Spec {
    std::optional<ByteRange> range;  // nothing: it lies outside the file
};

// One "first-last", "first-" or "-suffix"; nothing where it is not one.
std::optional<Spec> parse_spec(std::string_view text, std::uint64_t size) {
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const std::string_view first_text = text.substr(0, dash);
    const std::string_view last_text = text.substr(dash + 1);
    if (first_text.empty()) {
        const auto suffix = parse_number(last_text);
        if (!suffix) return std::nullopt;
        const std::uint64_t length = std::min(*suffix, size);
        if (length == 0) return Spec{};
        return Spec{ByteRange{size - length, length}};
    }
    const auto first = parse_number(first_text);
    if (!first) return std::nullopt;
    std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
    if (!last_text.empty()) {
        const auto number = parse_number(last_text);
        if (!number) return std::nullopt;
        last = *number;
        if (last < *first) return Spec{};  // the edge answers inverted bounds with 416
    }
    if (*first >= size) return Spec{};
    return Spec{ByteRange{*first, std::min(last, size - 1) - *first + 1}};
}

bool joinable(const ByteRange& a, const ByteRange& b) {
    return a.first <= b.end() + kPartOverhead && b.first <= a.end() + kPartOverhead;
}

// Joins what touches, keeping the place of the one that came first.
void coalesce(std::vector<ByteRange>& ranges) {
    bool changed = ranges.size() > 1;
    while (changed) {
        changed = false;
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            for (std::size_t k = i + 1; k < ranges.size(); ++k) {
                if (!joinable(ranges[i], ranges[k])) continue;
                const std::uint64_t end = std::max(ranges[i].end(), ranges[k].end());
                ranges[i].first = std::min(ranges[i].first, ranges[k].first);
                ranges[i].length = end - ranges[i].first;
                ranges.erase(ranges.begin() + static_cast<std::ptrdiff_t>(k));
                changed = true;
                --k;
            }
        }
    }
}

bool is_bytes_unit(std::string_view unit) {
    static constexpr std::string_view kBytes = "bytes";
    return std::equal(unit.begin(), unit.end(), kBytes.begin(), kBytes.end(),
                      [](char a, char b) { return (a | 0x20) == b; });
}

}  // namespace

RangeChoice choose_ranges(std::string_view header, std::uint64_t size, unsigned limit) {
    const std::size_t equals = header.find('=');
    if (equals == std::string_view::npos || !is_bytes_unit(header.substr(0, equals))) return {};

    RangeChoice choice{RangeChoice::Kind::partial, {}};
    unsigned specs = 0;
    std::string_view rest = header.substr(equals + 1);
    while (true) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view text = conf::trim(rest.substr(0, comma));
        if (!text.empty()) {  // RFC 9110, 5.6.1.2: empty list elements are ignored
            const auto spec = parse_spec(text, size);
            if (!spec || ++specs > limit) return {};
            if (spec->range) choice.ranges.push_back(*spec->range);
        }
        if (comma == rest.size()) break;
        rest.remove_prefix(comma + 1);
    }
    if (specs == 0) return {};
    if (choice.ranges.empty()) return {RangeChoice::Kind::unsatisfiable, {}};

    const bool several = choice.ranges.size() > 1;
    coalesce(choice.ranges);
    std::uint64_t total = 0;
    for (const ByteRange& range : choice.ranges)
        total += range.length + kPartOverhead;
    if (several && total >= size) return {};
    return choice;
}

}  // namespace tidepool::http
