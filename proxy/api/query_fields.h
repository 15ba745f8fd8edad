// The fields of a query that lists have in common, and what is said of bad ones.
#pragma once

#include "proxy/api/api_answer.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::api {

inline constexpr std::size_t kUsualPage = 100;
inline constexpr std::size_t kMostOnPage = 1000;

// 400 that names the field.
ApiAnswer bad_field(std::string_view field, std::string_view message);

// The answer where the query has a field that is none of these, or one of them twice: a filter that
// is misspelt would else be an answer about everything.
std::optional<ApiAnswer> check_fields(std::string_view query,
                                      std::initializer_list<std::string_view> known);

// `limit`: 1..1000, by default 100.
std::expected<std::size_t, ApiAnswer> read_page_limit(std::string_view query);

// A cursor says where a page begins, by the last thing on the page before. Callers give it back and
// look at nothing else of it. `list` keeps those of different lists apart.
std::string cursor_of(std::string_view list, std::string_view last);
// What was given to cursor_of(); nothing where there is no `cursor`.
std::expected<std::optional<std::string>, ApiAnswer> read_cursor(std::string_view query,
                                                                 std::string_view list);

// A whole number that is not negative, in decimal digits alone.
std::optional<std::int64_t> read_number(std::string_view text);

}  // namespace tidepool::api
