#include "proxy/upload/rates.h"

#include "conf/cidr.h"

#include <string>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

std::optional<api::ApiAnswer> refuse(RateLimiter& limiter, const Rate& rate,
                                     const std::string& key) {
    const auto wait_s = limiter.refuse_for(key, rate.per_minute, rate.now_ms);
    if (!wait_s) return std::nullopt;
    return api::api_error(429, "too_many_requests",
                          fmt::format("too many {} in a minute", rate.what),
                          fmt::format("Retry-After: {}\r\n", *wait_s));
}

}  // namespace

std::optional<api::ApiAnswer> refuse_holder(RateLimiter& limiter, const Rate& rate,
                                            std::string_view holder) {
    return refuse(limiter, rate, fmt::format("{} of {}", rate.what, holder));
}

std::optional<api::ApiAnswer> refuse_address(RateLimiter& limiter, const Rate& rate,
                                             std::string_view client) {
    return refuse(limiter, rate,
                  fmt::format("{} from {}", rate.what, conf::client_network(client)));
}

}  // namespace tidepool::upload
