#include "proxy/edge/range_list.h"

#include "conf/ascii.h"
#include "conf/quote.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace tidepool::edge {

namespace {

using conf::Cidr;

constexpr unsigned kHiddenBits = 96;    // of IPv4 in the form that Cidr keeps
constexpr unsigned kLeastBitsOfV4 = 8;  // the widest that is taken
constexpr unsigned kLeastBitsOfV6 = 16;

struct Reserved {
    std::string_view range;
    std::string_view what;
};
// No edge has an address in these (RFC 6890 and its registry). A range that holds one of them is as
// wrong as one inside.
constexpr std::array<Reserved, 15> kReserved{{{"0.0.0.0/8", "this network"},
                                              {"10.0.0.0/8", "private"},
                                              {"100.64.0.0/10", "carriers' own"},
                                              {"127.0.0.0/8", "loopback"},
                                              {"169.254.0.0/16", "link-local"},
                                              {"172.16.0.0/12", "private"},
                                              {"192.168.0.0/16", "private"},
                                              {"198.18.0.0/15", "benchmarks'"},
                                              {"224.0.0.0/4", "multicast"},
                                              {"240.0.0.0/4", "reserved"},
                                              {"::/96", "loopback and its like"},
                                              {"fc00::/7", "private"},
                                              {"fe80::/10", "link-local"},
                                              {"fec0::/10", "private"},
                                              {"ff00::/8", "multicast"}}};
// All of IPv4, as an IPv6 range could hold it without looking like it.
constexpr std::string_view kMapped = "::ffff:0:0/96";

Cidr table_range(std::string_view text) {
    const auto range = Cidr::parse(text);
    if (!range) std::abort();  // a slip in the tables above; the tests would have met it
    return *range;
}

bool overlap(const Cidr& a, const Cidr& b) {
    return a.prefix_bits <= b.prefix_bits ? a.contains(b.base) : b.contains(a.base);
}

std::string wrong_in_published(const Cidr& range) {
    const bool is_v4 = range.base.is_v4() && range.prefix_bits >= kHiddenBits;
    const unsigned bits = is_v4 ? range.prefix_bits - kHiddenBits : range.prefix_bits;
    const unsigned least = is_v4 ? kLeastBitsOfV4 : kLeastBitsOfV6;
    if (bits < least) return fmt::format("{} is wider than /{}", range.text(), least);
    if (!is_v4 && overlap(range, table_range(kMapped)))
        return fmt::format("{} holds all of IPv4", range.text());
    for (const Reserved& reserved : kReserved) {
        if (overlap(range, table_range(reserved.range)))
            return fmt::format("{} is or holds {} space ({})", range.text(), reserved.what,
                               reserved.range);
    }
    return {};
}

std::unexpected<Error> refuse_list(const std::string& source, const std::string& why) {
    return fail(ErrorKind::invalid, source + ": " + why);
}

std::string_view without_remark(std::string_view line) {
    line = line.substr(0, line.find('#'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return conf::trim(line);
}

// Calls `take` with each line that has something, and its number, until it gives false.
template <class Take>
void each_line(std::string_view text, Take take) {
    for (unsigned number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = without_remark(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!line.empty() && !take(line, number)) return;
    }
}

Result<PublishedRanges> read_plain_list(std::string_view text, const std::string& source) {
    PublishedRanges published;
    std::string wrong;
    each_line(text, [&](std::string_view line, unsigned number) {
        const auto range = Cidr::parse(line);
        if (!range) {
            wrong = fmt::format("line {}: {} is no range", number, conf::quote(line));
            return false;
        }
        published.ranges.push_back(*range);
        return true;
    });
    if (!wrong.empty()) return refuse_list(source, wrong);
    return published;
}

// Appends the ranges of one array; what is wrong with it, or "".
std::string take_array(const nlohmann::json& result, const char* name, bool is_v4,
                       std::vector<Cidr>& into) {
    const auto found = result.find(name);
    if (found == result.end() || !found->is_array())
        return fmt::format("result.{} is missing or no list", name);
    for (const auto& item : *found) {
        const auto* text = item.get_ptr<const std::string*>();
        const auto range = text == nullptr ? std::nullopt : Cidr::parse(*text);
        if (!range || range->base.is_v4() != is_v4)
            return fmt::format("result.{} holds {}, which is no such range", name,
                               conf::quote(text == nullptr ? "something" : *text));
        into.push_back(*range);
    }
    return {};
}

Result<PublishedRanges> read_api_answer(std::string_view text, const std::string& source) {
    const auto root = nlohmann::json::parse(text, nullptr, false);
    const auto result = root.is_object() ? root.find("result") : root.end();
    if (!root.is_object() || result == root.end() || !result->is_object())
        return refuse_list(source, "is no JSON with a \"result\"");
    if (const auto success = root.find("success"); success != root.end() && *success != true)
        return refuse_list(source, "says that it failed (\"success\" is not true)");
    PublishedRanges published;
    std::string wrong = take_array(*result, "ipv4_cidrs", true, published.ranges);
    if (wrong.empty()) wrong = take_array(*result, "ipv6_cidrs", false, published.ranges);
    if (!wrong.empty()) return refuse_list(source, wrong);
    if (const auto etag = result->find("etag"); etag != result->end() && etag->is_string())
        published.etag = conf::printable(etag->get<std::string>()).substr(0, 80);
    return published;
}

}  // namespace

Result<PublishedRanges> read_published(std::string_view text, const std::string& source) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == text.npos) return refuse_list(source, "is empty");
    auto published =
        text[first] == '{' ? read_api_answer(text, source) : read_plain_list(text, source);
    if (published && published->ranges.empty()) return refuse_list(source, "holds no range");
    return published;
}

Result<void> check_published(const std::vector<Cidr>& ranges) {
    for (const Cidr& range : ranges) {
        if (std::string wrong = wrong_in_published(range); !wrong.empty())
            return fail(ErrorKind::invalid, "this is not the edge's list: " + wrong);
    }
    const bool has_v4 =
        std::ranges::any_of(ranges, [](const Cidr& range) { return range.base.is_v4(); });
    if (!has_v4)
        return fail(ErrorKind::invalid, "this is not the edge's list: it has no IPv4 range");
    return {};
}

std::vector<Cidr> without_doubles(const std::vector<Cidr>& ranges) {
    std::vector<Cidr> once;
    for (const Cidr& range : ranges) {
        if (std::ranges::find(once, range) == once.end()) once.push_back(range);
    }
    return once;
}

RangeChange compare_ranges(const std::vector<Cidr>& old_ranges,
                           const std::vector<Cidr>& new_ranges) {
    const auto beyond = [](const std::vector<Cidr>& all, const std::vector<Cidr>& known) {
        std::vector<Cidr> rest = without_doubles(all);
        std::erase_if(rest, [&](const Cidr& range) {
            return std::ranges::find(known, range) != known.end();
        });
        return rest;
    };
    return {beyond(new_ranges, old_ranges), beyond(old_ranges, new_ranges)};
}

std::vector<Cidr> read_ranges_file(std::string_view content) {
    std::vector<Cidr> ranges;
    each_line(content, [&](std::string_view line, unsigned) {
        if (const auto range = Cidr::parse(line)) ranges.push_back(*range);
        return true;
    });
    return ranges;
}

std::string ranges_file(const std::vector<Cidr>& ranges, const std::vector<std::string>& sources,
                        std::int64_t now_s) {
    std::string content = fmt::format(
        "# From {}, {:%Y-%m-%d %H:%M:%S} UTC.\n"
        "# Written by \"tidepool edge update-ranges\", which replaces it as a whole.\n",
        conf::printable(fmt::format("{}", fmt::join(sources, " and "))),
        fmt::gmtime(static_cast<std::time_t>(now_s)));
    for (const Cidr& range : ranges)
        content += range.text() + "\n";
    return content;
}

}  // namespace tidepool::edge
