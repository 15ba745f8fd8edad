#include "proxy/upload/rates.h"

#include "conf/cidr.h"

#include <chrono>
#include <string>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

constexpr std::chrono::minutes kMinute{1};

std::optional<api::ApiAnswer> refuse(serve::RateLimiter& limiter, const Rate& rate,
                                     const std::string& key) {
    if (rate.per_minute == 0) return std::nullopt;
    const auto limit = serve::RateLimit::of(rate.per_minute, kMinute, rate.per_minute);
    const auto wait_s = limiter.refuse_for(serve::RateKey::of(key), limit, rate.now_ms);
    if (!wait_s) return std::nullopt;
    return api::api_error(429, "too_many_requests",
                          fmt::format("too many {} in a minute", rate.what),
                          fmt::format("Retry-After: {}\r\n", *wait_s));
}

}  // namespace

std::optional<api::ApiAnswer> refuse_holder(serve::RateLimiter& limiter, const Rate& rate,
                                            std::string_view holder) {
    return refuse(limiter, rate, fmt::format("{} of {}", rate.what, holder));
}

std::optional<api::ApiAnswer> refuse_address(serve::RateLimiter& limiter, const Rate& rate,
                                             std::string_view client) {
    return refuse(limiter, rate,
                  fmt::format("{} from {}", rate.what, conf::client_network(client)));
}

}  // namespace tidepool::upload
