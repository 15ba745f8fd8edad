// The credentials that a request brings (RFC 6750, 2.1).
#pragma once

#include "conf/ascii.h"
#include "proxy/http/request.h"

#include <string_view>

namespace tidepool::upload {

// Of "Authorization: Bearer TOKEN"; "" where there is none. Into the head.
inline std::string_view bearer_of(const http::RequestHead& head) {
    constexpr std::string_view kScheme = "bearer ";
    const std::string_view value = head.single("Authorization");
    if (value.size() <= kScheme.size() ||
        conf::lower_case(value.substr(0, kScheme.size())) != kScheme)
        return {};
    return conf::trim(value.substr(kScheme.size()));
}

}  // namespace tidepool::upload
