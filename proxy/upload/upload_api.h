// The API that clients of the image host speak, on the public listener: /api/v1 and /api/internal
// (contracts: pixelfox.md, Upload API). Start reading here.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/http/handler.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/serve/rate_limiter.h"
#include "proxy/upload/intake.h"
#include "proxy/upload/receiver.h"
#include "proxy/upload/tus_uploads.h"
#include "proxy/upload/upload_means.h"
#include "storage/catalog_records.h"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace tidepool::upload {

// Shared by all loops; each call is made on the loop of its request.
class UploadApi {
  public:
    explicit UploadApi(UploadMeans means);

    // Whether a path is one of this API's.
    static bool owns(std::string_view path) { return path.starts_with("/api/"); }
    // Whether the request's body is taken as it comes.
    static bool wants_stream(const http::RequestHead& head);
    // Of other bodies, the most bytes.
    static std::uint64_t wanted_body(const http::RequestHead& head);

    loop::Task<http::Response> respond(loop::Loop& loop, const http::RequestHead& head,
                                       const http::Peer& peer);
    loop::Task<http::Response> respond_to_stream(loop::Loop& loop, const http::RequestHead& head,
                                                 const http::Peer& peer, http::BodyStream& body);

    // The answer for a request whose body is none that may be.
    http::Response refuse(http::Refusal refusal, const http::RequestHead& head) const;

    // Uploads that run are not abandoned; see Intake::renew.
    void renew();

    const api::UploadCounters& counters() const { return intake_.counters(); }

  private:
    loop::Task<api::ApiAnswer> answer(loop::Loop& loop, const http::RequestHead& head,
                                      const http::Peer& peer);
    loop::Task<api::ApiAnswer> answer_to_key(loop::Loop& loop, const http::RequestHead& head,
                                             const http::Peer& peer);
    // Blocks, on a worker.
    api::ApiAnswer answer_holder(const http::RequestHead& head, std::string_view client,
                                 std::uint64_t now_ms);
    std::string client_of(const http::RequestHead& head, const http::Peer& peer) const;
    std::string cors_fields(const http::RequestHead& head) const;
    http::Response respond_preflight(const http::RequestHead& head) const;
    http::Response finish(const http::RequestHead& head, const api::ApiAnswer& answer) const;

    const UploadMeans means_;
    serve::RateLimiter limiter_;
    Intake intake_;
    Receiver receiver_;
    TusUploads tus_;
};

}  // namespace tidepool::upload
