// Values of Cache-Control and its two CDN variants (RFC 9111 section 5.2, RFC 9213).
#pragma once

#include <string>
#include <string_view>

namespace tidepool::conf {

// What is wrong with a header value made of directives, "" where it is right. Unknown directives
// are allowed, as the RFC wants them to be, unless they look like a misspelt known one. An empty
// value is wrong.
std::string wrong_in_directives(std::string_view value);

// True where a directive of that lower-case name is in the value. The value must be right.
bool has_directive(std::string_view value, std::string_view name);

}  // namespace tidepool::conf
