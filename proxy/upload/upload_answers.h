// Answers that forms and uploads in pieces have in common (contracts: pixelfox.md, Upload API).
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/api/api_answer.h"
#include "proxy/http/refusal.h"
#include "proxy/upload/rate_limiter.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidepool::upload {

api::ApiAnswer unsupported(std::string_view why);
api::ApiAnswer unsupported_name();
api::ApiAnswer too_large(std::uint64_t most_bytes);
api::ApiAnswer quota_exceeded(std::uint64_t bytes_left, std::uint64_t bytes_wanted);
api::ApiAnswer try_again(std::string_view why);
// Of a body that broke off.
api::ApiAnswer broken_off(http::Refusal refusal);

// What the client can do nothing about; the log has the rest, with `what`.
api::ApiAnswer failure_of(const Error& error, std::string_view what);

// 429 where this user or this client begins more uploads in a minute than the settings allow. Any
// thread.
std::optional<api::ApiAnswer> refuse_too_many(RateLimiter& limiter,
                                              const conf::UploadSettings& settings,
                                              std::string_view user, std::string_view client,
                                              std::uint64_t now_ms);

}  // namespace tidepool::upload
