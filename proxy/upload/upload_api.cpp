#include "proxy/upload/upload_api.h"

#include "conf/digest.h"
#include "proxy/api/api_key.h"
#include "proxy/serve/edge.h"
#include "proxy/upload/image_queries.h"
#include "proxy/upload/rates.h"
#include "proxy/upload/replication.h"
#include "proxy/upload/upload_session.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;

constexpr std::string_view kApiNoStore = "Cache-Control: no-store\r\n";
constexpr std::string_view kSessions = "/api/v1/upload/sessions";
constexpr std::string_view kReplicate = "/api/internal/replicate";
constexpr std::string_view kPing = "/api/v1/ping";
constexpr std::string_view kProfile = "/api/v1/user/profile";
constexpr std::string_view kImages = "/api/v1/images/";
constexpr std::string_view kStatus = "/status";
constexpr std::array<std::string_view, 2> kUploads{"/api/v1/upload", "/api/internal/upload"};

// What pages of other sites must be allowed to read of answers.
constexpr std::string_view kExposedFields = "Allow, Retry-After";

constexpr std::uint64_t kMostSessionBytes = 8ULL * 1024;
// Whoever asks from more places than these may ask once more from the first of them.
constexpr std::size_t kMostLimitedKeys = 100'000;

bool is_upload(std::string_view path) {
    return std::ranges::find(kUploads, path) != kUploads.end();
}

bool is_known(std::string_view path) {
    return is_upload(path) || TusUploads::owns(path) || path == kSessions || path == kReplicate ||
           path == kPing || path == kProfile ||
           (path.starts_with(kImages) && path.size() > kImages.size());
}

// What a path can be asked for, beside OPTIONS.
std::string_view methods_of(std::string_view path) {
    if (is_upload(path)) return "HEAD, POST";
    if (TusUploads::owns(path)) return TusUploads::methods_of(path);
    if (path == kSessions) return "POST";
    if (path == kReplicate) return "PUT";
    return "GET, HEAD";
}

bool allows(std::string_view methods, std::string_view method) {
    while (!methods.empty()) {
        const std::string_view one = methods.substr(0, methods.find(','));
        if (one == method) return true;
        methods.remove_prefix(std::min(one.size() + 2, methods.size()));
    }
    return false;
}

ApiAnswer key_wanted() {
    return api_error(401, "unauthorized", "send a valid key: X-API-Key");
}

}  // namespace

UploadApi::UploadApi(UploadMeans means)
    : means_(std::move(means)),
      limiter_(kMostLimitedKeys),
      intake_(means_),
      receiver_(intake_, limiter_),
      tus_(intake_, limiter_) {}

void UploadApi::renew() {
    intake_.renew();
}

bool UploadApi::wants_stream(const http::RequestHead& head) {
    return (is_upload(head.path) && head.method_text == "POST") || TusUploads::wants_stream(head) ||
           (head.path == kReplicate && head.method_text == "PUT");
}

std::uint64_t UploadApi::wanted_body(const http::RequestHead& head) {
    return head.path == kSessions && head.method_text == "POST" ? kMostSessionBytes : 0;
}

std::string UploadApi::client_of(const http::RequestHead& head, const http::Peer& peer) const {
    if (peer.is_unix && !peer.is_believed()) return peer.text();
    return serve::client_address(head, peer, means_.settings.edge.client_address_header).text();
}

loop::Task<http::Response> UploadApi::respond(loop::Loop& loop, const http::RequestHead& head,
                                              const http::Peer& peer) {
    if (TusUploads::method_of(head) == "OPTIONS") co_return respond_preflight(head);
    co_return finish(head, co_await answer(loop, head, peer));
}

loop::Task<http::Response> UploadApi::respond_to_stream(loop::Loop& loop,
                                                        const http::RequestHead& head,
                                                        const http::Peer& peer,
                                                        http::BodyStream& body) {
    if (head.path == kReplicate)
        co_return finish(head, co_await replicate(intake_, loop, head, body));
    ApiAnswer made;
    if (TusUploads::owns(head.path)) {
        made = co_await tus_.respond(loop, head, client_of(head, peer), &body);
    } else {
        made = co_await receiver_.receive(loop, head, client_of(head, peer), body);
    }
    http::Response response = finish(head, made);
    // Who was told that it is too much has more on its way, as a rule.
    if (response.status == 413) response.close = true;
    co_return response;
}

loop::Task<ApiAnswer> UploadApi::answer(loop::Loop& loop, const http::RequestHead& head,
                                        const http::Peer& peer) {
    const std::string_view path = head.path;
    if (!is_known(path)) co_return api_error(404, "not_found", "there is no such path");
    const std::string_view methods = methods_of(path);
    if (!allows(methods, TusUploads::method_of(head))) co_return api::method_not_allowed(methods);
    if (is_upload(path)) {
        if (head.method == http::Method::head)
            co_return ApiAnswer{.status = 204, .body = {}, .fields = {}};
        // One with a body comes to the receiver.
        co_return api_error(400, "bad_request", "expected multipart/form-data with a file");
    }
    if (TusUploads::owns(path))
        co_return co_await tus_.respond(loop, head, client_of(head, peer), nullptr);
    if (path == kReplicate)
        co_return api_error(400, "bad_request", "expected multipart/form-data with a file");
    if (path == kPing)
        co_return ApiAnswer{.status = 200, .body = R"({"ping":"pong"})", .fields = {}};
    co_return co_await answer_to_key(loop, head, peer);
}

loop::Task<ApiAnswer> UploadApi::answer_to_key(loop::Loop& loop, const http::RequestHead& head,
                                               const http::Peer& peer) {
    if (head.single("X-API-Key").empty()) co_return key_wanted();
    // A session may wait for what a pool says of its room, so it is no work for the catalog's
    // threads.
    loop::WorkerPool& workers =
        head.path == kSessions ? intake_.workers() : *means_.catalog_workers;
    auto answered = co_await loop::offload(loop, workers, loop::Lane::bulk,
                                           [this, &head, client = client_of(head, peer),
                                            now_ms = loop.now_ms()]() -> Result<ApiAnswer> {
                                               return answer_holder(head, client, now_ms);
                                           });
    if (answered) co_return std::move(*answered);
    co_return api_error(503, "service_unavailable", "too many calls wait", "Retry-After: 1\r\n");
}

ApiAnswer UploadApi::answer_holder(const http::RequestHead& head, std::string_view client,
                                   std::uint64_t now_ms) {
    const std::int64_t now_s = std::time(nullptr);
    const auto key = means_.catalog->find_key(conf::sha256(head.single("X-API-Key")));
    if (!key) return api_error(key.error());
    if (!*key || !api::is_good(**key, now_s)) return key_wanted();
    if (head.path == kProfile) return show_profile(means_, **key);
    if (head.path == kSessions) {
        const conf::UploadSettings& settings = means_.settings.upload;
        const unsigned of_key =
            api::read_limits((*key)->limits).per_minute.value_or(settings.rate_per_key);
        if (auto refused =
                refuse_holder(limiter_, {"sessions", of_key, now_ms}, api::key_id(**key)))
            return std::move(*refused);
        const Rate of_address{"sessions", settings.rate_per_address, now_ms};
        if (auto refused = refuse_address(limiter_, of_address, client)) return std::move(*refused);
        return open_session(intake_, **key, head.body, now_s);
    }
    const std::string_view rest = head.path.substr(kImages.size());
    if (rest.ends_with(kStatus))
        return show_status(means_, **key, rest.substr(0, rest.size() - kStatus.size()));
    return show_image(means_, **key, rest);
}

// WHATWG Fetch, 3.2: for the pages of the sites that are allowed.
std::string UploadApi::cors_fields(const http::RequestHead& head) const {
    const auto& allowed = means_.settings.upload.allowed_origins;
    if (allowed.empty()) return "";
    const std::string exposed =
        fmt::format("Access-Control-Expose-Headers: {}\r\n",
                    TusUploads::owns(head.path) ? kTusExposedFields : kExposedFields);
    if (std::ranges::find(allowed, "*") != allowed.end())
        return fmt::format("Access-Control-Allow-Origin: *\r\n{}", exposed);
    const std::string_view origin = head.single("Origin");
    if (origin.empty() || std::ranges::find(allowed, origin) == allowed.end())
        return "Vary: Origin\r\n";
    return fmt::format("Access-Control-Allow-Origin: {}\r\nVary: Origin\r\n{}", origin, exposed);
}

http::Response UploadApi::respond_preflight(const http::RequestHead& head) const {
    const std::string cors = cors_fields(head);
    const std::string_view methods = is_known(head.path) ? methods_of(head.path) : "GET, HEAD";
    std::string fields = fmt::format("Allow: {}, OPTIONS\r\n{}", methods, cors);
    const bool is_tus = TusUploads::owns(head.path);
    if (cors.starts_with("Access")) {
        fields += fmt::format(
            "Access-Control-Allow-Methods: {}, OPTIONS\r\nAccess-Control-Allow-Headers: {}\r\n"
            "Access-Control-Max-Age: 7200\r\n",
            methods, is_tus ? kTusRequestFields : "Authorization, Content-Type, X-API-Key");
    }
    if (is_tus) fields += tus_.discovery();
    return api::response_of({.status = 204, .body = {}, .fields = std::move(fields)}, kApiNoStore);
}

http::Response UploadApi::refuse(http::Refusal refusal, const http::RequestHead& head) const {
    return finish(head, api::refused_request(refusal));
}

http::Response UploadApi::finish(const http::RequestHead& head, const ApiAnswer& answer) const {
    return api::response_of(answer, std::string(kApiNoStore) + cors_fields(head));
}

}  // namespace tidepool::upload
