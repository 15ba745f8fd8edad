// Any Range header gives what a second, slower reading of RFC 9110, 14 and of proxy/http/range.h
// gives, for files of any size.
#include "proxy/http/range.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace tidepool::http;
using tidepool::fuzz::check;

namespace {

constexpr std::uint64_t kPartOverhead = 80;                                // as in range.cpp
constexpr std::uint64_t kHuge = std::numeric_limits<std::int64_t>::max();  // no file is larger

using Number = unsigned __int128;

struct Interval {
    std::size_t place;  // in the header
    std::uint64_t begin;
    std::uint64_t end;
};

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts(1);
    for (const char c : text) {
        if (c == separator) {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

// A number, kept small where it is beyond every file.
std::optional<Number> number(std::string_view digits) {
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos)
        return std::nullopt;
    Number value = 0;
    for (const char c : digits)
        value = std::min<Number>(value * 10 + static_cast<unsigned>(c - '0'), Number{1} << 80U);
    return value;
}

// What one element asks for: an empty interval where it lies outside; nothing where it is none.
std::optional<Interval> element(const std::string& text, Number size) {
    const auto sides = split(text, '-');
    if (sides.size() != 2) return std::nullopt;
    const auto first = number(sides[0]);
    const auto last = number(sides[1]);
    Number begin = 0;
    Number end = 0;
    if (sides[0].empty()) {
        if (!last) return std::nullopt;
        begin = size - std::min(size, *last);
        end = size;
    } else {
        if (!first || (!last && !sides[1].empty())) return std::nullopt;
        begin = *first;
        end = last ? std::min(size, *last + 1) : size;
    }
    if (begin >= end) begin = end = 0;
    return Interval{0, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)};
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.pop_back();
    return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
}

// Joined along the file, then put back in the order in which they were asked for.
std::vector<Interval> joined(std::vector<Interval> wanted) {
    std::ranges::sort(wanted, {}, &Interval::begin);
    std::vector<Interval> groups;
    for (const Interval& next : wanted) {
        if (groups.empty() || next.begin > groups.back().end + kPartOverhead) {
            groups.push_back(next);
            continue;
        }
        Interval& group = groups.back();
        group.end = std::max(group.end, next.end);
        group.place = std::min(group.place, next.place);
    }
    std::ranges::sort(groups, {}, &Interval::place);
    return groups;
}

RangeChoice expected_choice(std::string_view header, std::uint64_t size, unsigned limit) {
    std::string unit(header.substr(0, header.find('=')));
    std::ranges::transform(unit, unit.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (unit != "bytes" || !header.contains('=')) return {};

    std::size_t elements = 0;
    std::vector<Interval> wanted;
    for (std::string text : split(header.substr(header.find('=') + 1), ',')) {
        text = trimmed(std::move(text));
        if (text.empty()) continue;
        const auto found = element(text, size);
        if (!found || ++elements > limit) return {};
        if (found->begin < found->end) wanted.push_back({elements, found->begin, found->end});
    }
    if (elements == 0) return {};
    if (wanted.empty()) return {RangeChoice::Kind::unsatisfiable, {}};

    RangeChoice choice{RangeChoice::Kind::partial, {}};
    Number cost = 0;
    for (const Interval& part : joined(wanted)) {
        choice.ranges.push_back({part.begin, part.end - part.begin});
        cost += Number{part.end - part.begin} + kPartOverhead;
    }
    if (wanted.size() > 1 && cost >= size) return {};
    return choice;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view header(reinterpret_cast<const char*>(data), size);
    for (const std::uint64_t file :
         std::initializer_list<std::uint64_t>{0, 1, 100, 1000, 1'000'000, 1ULL << 40U, kHuge}) {
        for (const unsigned limit : {1U, 3U, 64U}) {
            const RangeChoice choice = choose_ranges(header, file, limit);
            check(choice.ranges.size() <= limit);
            check((choice.kind == RangeChoice::Kind::partial) == !choice.ranges.empty());
            for (const ByteRange& range : choice.ranges) {
                check(range.length > 0 && range.length <= file);
                check(range.first <= file - range.length);
            }
            const RangeChoice expected = expected_choice(header, file, limit);
            check(choice.kind == expected.kind);
            check(choice.ranges == expected.ranges);
        }
    }
    return 0;
}
