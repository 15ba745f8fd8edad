// Conditional requests (RFC 9110, 13). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidepool::http {

// The validators of what would be served.
struct Validators {
    std::string_view etag;           // with its quotes, strong
    std::int64_t last_modified = 0;  // seconds since 1970
};

// The conditional fields of a request. A list field sent several times comes joined by commas, and
// an empty one is a list that names nothing; a date that is absent or was sent several times is "".
struct Conditions {
    std::optional<std::string_view> if_match = std::nullopt;
    std::string_view if_unmodified_since = "";
    std::optional<std::string_view> if_none_match = std::nullopt;
    std::string_view if_modified_since = "";
};

enum class ConditionVerdict : std::uint8_t {
    proceed,
    not_modified,         // 304
    precondition_failed,  // 412
};

// In the order of RFC 9110, 13.2.2, for GET and HEAD of something that exists. `now` is for
// two-digit years.
ConditionVerdict judge_conditions(const Conditions& conditions, const Validators& current,
                                  std::int64_t now);

// True where If-Range names exactly what would be served, so that Range counts (13.1.5).
bool range_applies(std::string_view if_range, const Validators& current, std::int64_t now);

// True where the list of entity tags ("*" included) names `etag`. Weak comparison ignores "W/". A
// list that does not parse matches nothing behind the place where it goes wrong.
bool etag_list_matches(std::string_view list, std::string_view etag, bool weak_comparison);

}  // namespace tidepool::http
