// Any conditional fields give the verdict that RFC 9110, 13.2.2 gives step by step, and any date is
// read as what it says. The input is five lines: If-Match, If-Unmodified-Since, If-None-Match,
// If-Modified-Since, If-Range; a "-" stands for an absent field.
#include "proxy/http/conditional.h"
#include "proxy/http/date.h"
#include "tests/fuzz/check.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

using namespace tidepool::http;
using tidepool::fuzz::check;

namespace {

constexpr std::string_view kEtag = "\"abc\"";
constexpr std::int64_t kModified = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT

// A list of entity tags, character by character: between elements, in one, behind one.
bool list_names(std::string_view list, bool weak_counts) {
    const std::size_t star = list.find_first_not_of(" \t,");
    if (star != std::string_view::npos && list[star] == '*' &&
        list.find_first_not_of(" \t", star + 1) == std::string_view::npos) {
        return true;
    }
    enum { between, slash, quote, inside, behind } state = between;
    bool weak = false;
    std::string tag;
    for (const char c : list) {
        switch (state) {
            case between:
                if (c == ' ' || c == '\t' || c == ',') break;
                if (c != 'W' && c != '"') return false;
                weak = c == 'W';
                tag = c == '"' ? "\"" : "";
                state = weak ? slash : inside;
                break;
            case slash:
                if (c != '/') return false;
                state = quote;
                break;
            case quote:
                if (c != '"') return false;
                tag = c;
                state = inside;
                break;
            case inside:
                tag += c;
                if (c != '"') break;
                if (tag == kEtag && (weak_counts || !weak)) return true;
                state = behind;
                break;
            case behind:
                if (c == ',') state = between;
                if (c != ',' && c != ' ' && c != '\t') return false;
                break;
        }
    }
    return false;
}

ConditionVerdict expected_verdict(const Conditions& conditions, std::int64_t now) {
    const auto unmodified_since = parse_date(conditions.if_unmodified_since, now);
    const auto modified_since = parse_date(conditions.if_modified_since, now);
    if (conditions.if_match && !list_names(*conditions.if_match, false))
        return ConditionVerdict::precondition_failed;
    if (!conditions.if_match && unmodified_since && *unmodified_since < kModified)
        return ConditionVerdict::precondition_failed;
    if (conditions.if_none_match && list_names(*conditions.if_none_match, true))
        return ConditionVerdict::not_modified;
    if (!conditions.if_none_match && modified_since && *modified_since >= kModified)
        return ConditionVerdict::not_modified;
    return ConditionVerdict::proceed;
}

// The date in the three forms, each without the name of the day, which readers do not compare.
std::array<std::string, 3> forms_of(std::int64_t seconds) {
    const auto time = static_cast<std::time_t>(seconds);
    std::tm utc{};
    gmtime_r(&time, &utc);
    std::array<std::string, 3> forms;
    std::size_t next = 0;
    for (const char* form :
         {", %d %b %Y %H:%M:%S GMT", ", %d-%b-%y %H:%M:%S GMT", " %b %e %H:%M:%S %Y"}) {
        std::array<char, 64> text{};
        forms[next++].assign(text.data(), std::strftime(text.data(), text.size(), form, &utc));
    }
    return forms;
}

void check_date(std::string_view text, std::int64_t now) {
    const auto seconds = parse_date(text, now);
    if (!seconds) return;
    const std::size_t day = std::min(text.find_first_of(", "), text.size());
    std::string said(text.substr(day));
    // Numbers may be written with a zero where asctime(3) has a blank, and years before 1000 with
    // zeros that strftime(3) leaves out.
    if (said.size() > 5 && said[0] == ' ' && said[5] == '0') said[5] = ' ';
    if (said.find(" 0") != std::string::npos && *seconds < -30'000'000'000) return;
    auto forms = forms_of(*seconds);
    if (said.find(":60 ") != std::string::npos) {  // a leap second is read as the one before
        for (std::string& form : forms) {
            if (const std::size_t at = form.find(":59 "); at != std::string::npos)
                form.replace(at, 4, ":60 ");
        }
    }
    check(std::ranges::find(forms, said) != forms.end());
    if (*seconds < 0) return;
    check(parse_date(format_date(*seconds), now) == *seconds);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::array<std::optional<std::string_view>, 5> lines;
    for (auto& line : lines) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        if (rest.substr(0, end) != "-") line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    const Conditions conditions{lines[0], lines[1].value_or(""), lines[2], lines[3].value_or("")};
    const std::string_view if_range = lines[4].value_or("");
    const Validators current{kEtag, kModified};
    // Just now, a second later, and in the middle of a century that begins.
    for (const std::int64_t now : {kModified, kModified + 2, std::int64_t{2'000'000'000}}) {
        check(judge_conditions(conditions, current, now) == expected_verdict(conditions, now));
        const auto date = parse_date(if_range, now);
        const bool settled = now - kModified > 1;
        check(range_applies(if_range, current, now) ==
              (if_range == kEtag || (date == kModified && settled)));
        for (const auto& line : lines) {
            if (line) check_date(*line, now);
        }
    }
    return 0;
}
