// Text from strangers, made fit to be shown. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tidepool::transform {

// UTF-8 of at most `most_bytes`, cut between characters. What is no UTF-8, controls, and what
// changes the direction or the look of the text around it become '?'; blanks at both ends go.
std::string printable_text(std::string_view bytes, std::size_t most_bytes);

}  // namespace tidepool::transform
