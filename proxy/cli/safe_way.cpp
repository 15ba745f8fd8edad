#include "proxy/cli/safe_way.h"

#include <algorithm>
#include <array>

namespace tidepool::cli {

bool is_safe_way(std::string_view url) {
    if (url.starts_with("https://")) return true;
    constexpr std::string_view kPlain = "http://";
    if (!url.starts_with(kPlain)) return false;
    const std::string_view rest = url.substr(kPlain.size());
    const std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
    constexpr std::array<std::string_view, 3> kHere{"127.0.0.1", "[::1]", "localhost"};
    return std::ranges::any_of(kHere, [host](std::string_view here) {
        return host == here ||
               (host.starts_with(here) && host.substr(here.size()).starts_with(':') &&
                host.find('@') == host.npos);
    });
}

}  // namespace tidepool::cli
