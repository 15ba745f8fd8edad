// Foreign text made fit for a message of one line.
#pragma once

#include <string>
#include <string_view>

namespace tidepool::conf {

// True for 0x00..0x1f and 0x7f: never right in a name, a path or a header value.
bool has_control_character(std::string_view text);

// Control characters written as \n, \t or \xNN; the rest, UTF-8 included, as it is.
std::string printable(std::string_view text);

// The text in double quotes, printable, and shortened with "..." where it is longer than 80 bytes.
std::string quote(std::string_view text);

// Takes a secret out of foreign text, wherever it stands in it. One that is empty is nowhere.
void hide(std::string& text, std::string_view secret);

}  // namespace tidepool::conf
