// How many sessions and uploads a minute may have, by who asks: the answers of a RateLimiter.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/serve/rate_limiter.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidepool::upload {

// What is counted ("uploads", "sessions"), how many of it a minute may have (0: no limit), and now,
// by a clock that does not go back.
struct Rate {
    std::string_view what;
    unsigned per_minute = 0;
    std::uint64_t now_ms = 0;
};

// 429 where this user, or holder of a key, has had as many. Any thread.
std::optional<api::ApiAnswer> refuse_holder(serve::RateLimiter& limiter, const Rate& rate,
                                            std::string_view holder);

// 429 where this client's address has had as many (see conf::client_network). Any thread.
std::optional<api::ApiAnswer> refuse_address(serve::RateLimiter& limiter, const Rate& rate,
                                             std::string_view client);

}  // namespace tidepool::upload
