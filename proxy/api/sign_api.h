// /api/admin/v1/sign: URLs that open private images.
#pragma once

#include "conf/settings.h"
#include "proxy/api/api_answer.h"
#include "proxy/api/pool_json.h"
#include "proxy/serve/url_signature.h"

#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kSignPath = "/api/admin/v1/sign";

// POST of {"url" or "path", "ttl"?, "form"?} gives what sign_json() does. 409 where there is no
// key, 422 for what cannot be signed. Pure; any thread.
ApiAnswer answer_sign(const conf::PrivateSettings& settings, const ApiCall& call);

// A signed URL as the API and the command tell it: url, form, expires (seconds since 1970).
Json sign_json(const serve::SignedUrl& made);

}  // namespace tidepool::api
