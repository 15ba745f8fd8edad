// What a Referer says. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace tidepool::serve {

struct Referer {
    enum class Kind : std::uint8_t {
        none,  // nothing, or a URL that is no page of a host: "android-app://...", "about:client"
        page,  // of the web, on `host`
        malformed,  // what no browser sends
    };
    Kind kind = Kind::none;
    std::string_view host{};  // as conf::host_of_authority() gives it; a view into the value
};

// RFC 9110, 10.1.3, of whole URLs alone, as browsers send no others. Whatever two readers could
// read as different hosts is malformed: a backslash, a blank or an escape before the path, two "@".
// What stands before one "@" is whoever is named there, and never the host.
Referer read_referer(std::string_view value);

}  // namespace tidepool::serve
