// Whatever the conditional fields say: a list that names the file matches it, one that does not
// does not, and the verdicts keep the order of RFC 9110, 13.2.2.
#include "proxy/http/conditional.h"
#include "proxy/http/date.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace {

using namespace tidepool::http;

constexpr std::string_view kEtag = "\"e1\"";
constexpr std::int64_t kModified = 1'700'000'000;
constexpr std::int64_t kNow = 1'800'000'000;

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Five fields, a line each; an empty line is a field that was not sent.
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::array<std::string_view, 5> lines;
    for (std::string_view& line : lines) {
        line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
    const auto list = [](std::string_view line) -> std::optional<std::string_view> {
        if (line.empty()) return std::nullopt;
        return line;
    };
    const Conditions conditions{list(lines[0]), lines[1], list(lines[2]), lines[3]};
    const Validators current{kEtag, kModified};
    const ConditionVerdict verdict = judge_conditions(conditions, current, kNow);

    // If-Match decides alone over If-Unmodified-Since, If-None-Match over If-Modified-Since.
    if (conditions.if_match) {
        const bool matches = etag_list_matches(*conditions.if_match, kEtag, false);
        require(matches || verdict == ConditionVerdict::precondition_failed);
        Conditions without = conditions;
        without.if_unmodified_since = "";
        require(judge_conditions(without, current, kNow) == verdict);
    }
    if (conditions.if_none_match) {
        const bool matches = etag_list_matches(*conditions.if_none_match, kEtag, true);
        if (verdict != ConditionVerdict::precondition_failed)
            require(matches == (verdict == ConditionVerdict::not_modified));
        Conditions without = conditions;
        without.if_modified_since = "";
        require(judge_conditions(without, current, kNow) == verdict);
    }
    // A strong match is a weak one too, and naming the file in front of any list matches.
    for (const std::size_t index : {0U, 2U}) {
        const std::string_view text = lines[index];
        if (etag_list_matches(text, kEtag, false)) require(etag_list_matches(text, kEtag, true));
        require(etag_list_matches(std::string(kEtag) + ", " + std::string(text), kEtag, false));
        if (text.find("e1") == std::string_view::npos && text.find('*') == std::string_view::npos)
            require(!etag_list_matches(text, kEtag, true));
    }
    // A range counts only for exactly this file.
    if (!lines[4].empty() && range_applies(lines[4], current, kNow))
        require(lines[4] == kEtag || parse_date(lines[4], kNow) == kModified);
    // A date is read back as the second it stands for.
    for (const std::string_view line : lines) {
        const auto date = parse_date(line, kNow);
        if (date && *date >= 0 && *date < 253'402'300'800)
            require(parse_date(format_date(*date), kNow) == date);
    }
    return 0;
}
