// Whether what is sent or fetched by a URL is safe from who is in between.
#pragma once

#include <string_view>

namespace tidepool::cli {

// Over TLS, or within this machine.
bool is_safe_way(std::string_view url);

}  // namespace tidepool::cli
