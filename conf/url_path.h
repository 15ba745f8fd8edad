// A URL's path as the edge and its rules see it (contracts: cloudflare.md 1.3; RFC 3986, 2
// and 3.3).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tidepool::conf {

// Whether this byte may stand in a path as it is.
bool stands_in_path(char c);
// Whether it may, and its escape is not undone by the edge either: a path has it in two spellings.
bool has_other_spelling(char c);

// A path as the edge normalises it: escapes of unreserved characters decoded, hex digits in upper
// case, bytes that stand in no URL escaped. Nothing where an escape is broken.
std::optional<std::string> normalised_path(std::string_view path);

// The normalised path of what has no escapes yet, such as a key: "%" is one of its characters.
std::string escaped_path(std::string_view text);

// Whether nothing is escaped in the path that may stand there as it is. The edge's rules compare
// texts, so they know a path by this spelling alone, while ours and a bucket's names are the same
// in all.
bool is_spelt_plainly(std::string_view path);

}  // namespace tidepool::conf
