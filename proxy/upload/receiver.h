// POST /api/v1/upload: a file becomes an image (contracts: pixelfox.md, Upload API).
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/http/handler.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/rate_limiter.h"
#include "proxy/upload/intake.h"

#include <string>

namespace tidepool::upload {

// Shared by all loops.
class Receiver {
  public:
    // Both outlive it. `limiter` counts by key and address.
    Receiver(Intake& intake, serve::RateLimiter& limiter) : intake_(intake), limiter_(limiter) {}

    // Takes the form as it comes: its file goes to where the image will be while it is hashed, is
    // looked at in a worker's sandbox, and gets its name and its rows only then. The answer is 200
    // only once both are durable (invariant 1); else nothing is left of it. On the loop of the
    // request.
    loop::Task<api::ApiAnswer> receive(loop::Loop& loop, const http::RequestHead& head,
                                       std::string client, http::BodyStream& body);

  private:
    class Upload;

    Intake& intake_;
    serve::RateLimiter& limiter_;
};

}  // namespace tidepool::upload
