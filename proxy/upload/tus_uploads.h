// /api/v1/upload/tus: a file comes in pieces, over many requests, and goes on where it broke off,
// also after a restart (tus 1.0.0: core protocol, Creation, Creation With Upload, Expiration,
// Checksum, Termination). What was received stands in the spool; once all is there it takes the
// same way as a form's file.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/http/handler.h"
#include "proxy/http/request.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/rate_limiter.h"
#include "proxy/upload/intake.h"
#include "storage/resumable_spool.h"

#include <string>
#include <string_view>

namespace tidepool::upload {

inline constexpr std::string_view kTusPath = "/api/v1/upload/tus";
// Headers that pages of other sites must be allowed to send, and to read.
inline constexpr std::string_view kTusRequestFields =
    "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, "
    "Upload-Checksum, X-HTTP-Method-Override";
inline constexpr std::string_view kTusExposedFields =
    "Content-Location, Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, "
    "Tus-Resumable, Tus-Version, Upload-Expires, Upload-Image, Upload-Length, Upload-Metadata, "
    "Upload-Offset";

// Shared by all loops.
class TusUploads {
  public:
    // Both outlive it. `limiter` counts by key and address.
    TusUploads(Intake& intake, serve::RateLimiter& limiter);

    // Whether a path is one of these uploads, or where they begin.
    static bool owns(std::string_view path);
    static std::string_view methods_of(std::string_view path);
    // What a request asks for: its method, but that of a POST to one of these paths may be said by
    // X-HTTP-Method-Override, for clients who cannot send PATCH or DELETE (tus 1.0, Headers).
    static std::string_view method_of(const http::RequestHead& head);
    static bool wants_stream(const http::RequestHead& head);

    // Answers all but OPTIONS; `body` is null where there is none. On the loop of the request.
    loop::Task<api::ApiAnswer> respond(loop::Loop& loop, const http::RequestHead& head,
                                       std::string client, http::BodyStream* body);
    // Header lines of the answer to OPTIONS.
    std::string discovery() const;

  private:
    class Request;

    Intake& intake_;
    serve::RateLimiter& limiter_;
    storage::ResumableSpool spool_;
};

}  // namespace tidepool::upload
