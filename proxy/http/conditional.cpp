#include "proxy/http/conditional.h"

#include "proxy/http/date.h"

namespace tidepool::http {

namespace {

void skip_blanks_and_commas(std::string_view& text) {
    const std::size_t start = text.find_first_not_of(" \t,");
    text.remove_prefix(start == std::string_view::npos ? text.size() : start);
}

// Takes one entity tag off the front, quotes included; "" where there is none.
std::string_view take_etag(std::string_view& text, bool& weak) {
    weak = text.starts_with("W/");
    if (weak) text.remove_prefix(2);
    if (text.empty() || text.front() != '"') return "";
    const std::size_t end = text.find('"', 1);
    if (end == std::string_view::npos) return "";
    const std::string_view tag = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    return tag;
}

}  // namespace

bool etag_list_matches(std::string_view list, std::string_view etag, bool weak_comparison) {
    skip_blanks_and_commas(list);
    if (list == "*" ||
        (list.starts_with("*") && list.find_first_not_of(" \t", 1) == std::string_view::npos)) {
        return true;
    }
    while (!list.empty()) {
        bool weak = false;
        const std::string_view tag = take_etag(list, weak);
        if (tag.empty()) return false;
        if (tag == etag && (weak_comparison || !weak)) return true;
        // Between two tags stands a comma; "a""b" is no list.
        if (!list.empty() && list.find_first_not_of(" \t") != std::string_view::npos &&
            list[list.find_first_not_of(" \t")] != ',') {
            return false;
        }
        skip_blanks_and_commas(list);
    }
    return false;
}

ConditionVerdict judge_conditions(const Conditions& conditions, const Validators& current,
                                  std::int64_t now) {
    if (conditions.if_match) {
        if (!etag_list_matches(*conditions.if_match, current.etag, false)) {
            return ConditionVerdict::precondition_failed;
        }
    } else if (!conditions.if_unmodified_since.empty()) {
        const auto date = parse_date(conditions.if_unmodified_since, now);
        if (date && current.last_modified > *date) return ConditionVerdict::precondition_failed;
    }
    if (conditions.if_none_match) {
        return etag_list_matches(*conditions.if_none_match, current.etag, true)
                   ? ConditionVerdict::not_modified
                   : ConditionVerdict::proceed;
    }
    if (!conditions.if_modified_since.empty()) {
        const auto date = parse_date(conditions.if_modified_since, now);
        if (date && current.last_modified <= *date) return ConditionVerdict::not_modified;
    }
    return ConditionVerdict::proceed;
}

bool range_applies(std::string_view if_range, const Validators& current, std::int64_t now) {
    if (if_range.starts_with('"') || if_range.starts_with("W/")) return if_range == current.etag;
    // A date is a strong validator only where nothing can have changed within its second; ours is
    // judged by content as well, so an exact match of a time in the past is enough.
    const auto date = parse_date(if_range, now);
    return date && *date == current.last_modified && current.last_modified < now - 1;
}

}  // namespace tidepool::http
