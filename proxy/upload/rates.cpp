#include "proxy/upload/rates.h"

#include "conf/cidr.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

constexpr std::ptrdiff_t kNetworkBytes = 8;  // of an IPv6 address

std::optional<api::ApiAnswer> refuse(RateLimiter& limiter, const Rate& rate,
                                     const std::string& key) {
    const auto wait_s = limiter.refuse_for(key, rate.per_minute, rate.now_ms);
    if (!wait_s) return std::nullopt;
    return api::api_error(429, "too_many_requests",
                          fmt::format("too many {} in a minute", rate.what),
                          fmt::format("Retry-After: {}\r\n", *wait_s));
}

// As it is where it is no address: of a unix socket there is none.
std::string network_of(std::string_view client) {
    auto address = conf::IpAddress::parse(client);
    if (!address || address->is_v4()) return std::string(client);
    std::fill(address->bytes.begin() + kNetworkBytes, address->bytes.end(), std::uint8_t{0});
    return address->text();
}

}  // namespace

std::optional<api::ApiAnswer> refuse_holder(RateLimiter& limiter, const Rate& rate,
                                            std::string_view holder) {
    return refuse(limiter, rate, fmt::format("{} of {}", rate.what, holder));
}

std::optional<api::ApiAnswer> refuse_address(RateLimiter& limiter, const Rate& rate,
                                             std::string_view client) {
    return refuse(limiter, rate, fmt::format("{} from {}", rate.what, network_of(client)));
}

}  // namespace tidepool::upload
