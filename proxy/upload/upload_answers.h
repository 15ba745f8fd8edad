// Answers that forms and uploads in pieces have in common (contracts: pixelfox.md, Upload API).
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/api/api_answer.h"
#include "proxy/http/refusal.h"
#include "proxy/upload/spool_room.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidepool::upload {

api::ApiAnswer unsupported(std::string_view why);
api::ApiAnswer unsupported_name();
api::ApiAnswer too_large(std::uint64_t most_bytes);
api::ApiAnswer quota_exceeded(std::uint64_t bytes_left, std::uint64_t bytes_wanted);
api::ApiAnswer try_again(std::string_view why);
api::ApiAnswer too_many_of_owner();
// Of what the spool has no room for.
api::ApiAnswer spool_full(SpoolRoom::Full why);
// Of a body that broke off.
api::ApiAnswer broken_off(http::Refusal refusal);

// What the client can do nothing about; the log has the rest, with `what`.
api::ApiAnswer failure_of(const Error& error, std::string_view what);

}  // namespace tidepool::upload
