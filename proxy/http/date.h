// HTTP dates (RFC 9110, 5.6.7). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::http {

// "Sun, 06 Nov 1994 08:49:37 GMT" for seconds since 1970, years 1970 to 9999.
std::string format_date(std::int64_t seconds);

// Seconds since 1970 of an IMF-fixdate, or of the two obsolete forms; nothing for anything else. A
// two-digit year more than 50 years ahead of `now` belongs to the last century.
std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now);

}  // namespace tidepool::http
