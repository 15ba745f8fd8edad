// Which known name a misspelt one was meant to be.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace tidepool::conf {

// How many characters must be inserted, dropped or replaced to make one of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The known name nearest to `name`, where it is near enough to be meant: a third of its characters
// may differ, or one of the two may hold the other ("request_line_bytes"). Nothing otherwise.
std::optional<std::string_view> nearest_name(std::string_view name,
                                             std::span<const std::string_view> known);

}  // namespace tidepool::conf
