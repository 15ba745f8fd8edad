// Expressions of the edge's rules language, put together from texts of the settings. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidepool::edge {

// The most that one rule's expression may have (Cloudflare: 4096 characters).
constexpr std::size_t kExpressionBytes = 4096;

// As it stands between the double quotes of a literal: " and \ escaped.
std::string escaped_in_literal(std::string_view text);
// With the quotes.
std::string literal(std::string_view text);

// "(a or b)", "a" of a single one, "" of none. Parts are whole conditions.
std::string any_condition(const std::vector<std::string>& parts);
// "a and b", without the parts that are "". A part that is a disjunction has its own parentheses.
std::string all_conditions(const std::vector<std::string>& parts);

// True of requests for one of these hosts; entries as conf::wrong_in_host_pattern() has them,
// without addresses. "" of none, which is true of every request.
std::string host_condition(const std::vector<std::string>& hosts);
// True where the path begins with one of these, which have no escapes, "" of none. `field` is what
// holds it.
std::string path_condition(const std::vector<std::string>& prefixes,
                           std::string_view field = "http.request.uri.path");
// True where the Referer names a page of one of these hosts. Without the port of one, as pages of
// the public have none.
std::string referer_condition(const std::vector<std::string>& hosts);

}  // namespace tidepool::edge
