#include "proxy/upload/upload_answers.h"

#include "conf/log.h"
#include "proxy/api/pool_json.h"

#include <fmt/format.h>

namespace tidepool::upload {

using api::api_error;
using api::ApiAnswer;

ApiAnswer unsupported(std::string_view why) {
    return api_error(415, "unsupported_media_type", why);
}

ApiAnswer unsupported_name() {
    return unsupported(
        "the file's name ends in none of .jpg, .jpeg, .png, .gif, .webp, .avif and .bmp");
}

ApiAnswer too_large(std::uint64_t most_bytes) {
    return api_error(413, "payload_too_large",
                     fmt::format("the file has more than {} bytes", most_bytes));
}

ApiAnswer quota_exceeded(std::uint64_t bytes_left, std::uint64_t bytes_wanted) {
    return {
        .status = 413,
        .body = api::text_of({{"error", "quota_exceeded"},
                              {"message", "the file is larger than what is left of the quota"},
                              {"details", {{"remaining", bytes_left}, {"needed", bytes_wanted}}}}),
        .fields = {}};
}

ApiAnswer try_again(std::string_view why) {
    return api_error(503, "service_unavailable", why, "Retry-After: 2\r\n");
}

ApiAnswer too_many_of_owner() {
    return api_error(429, "too_many_requests", "too many uploads of this owner run",
                     "Retry-After: 2\r\n");
}

ApiAnswer spool_full(SpoolRoom::Full why) {
    if (why == SpoolRoom::Full::of_owner) {
        return api_error(429, "too_many_requests",
                         "too many uploads have not ended: go on with them, or wait for their end",
                         "Retry-After: 60\r\n");
    }
    return api_error(503, "service_unavailable", "there is no room for more uploads right now",
                     "Retry-After: 30\r\n");
}

ApiAnswer broken_off(http::Refusal refusal) {
    if (refusal == http::Refusal::body_timeout)
        return api_error(408, "request_timeout", "the upload came too slowly");
    return api_error(400, "bad_request", "the request ended before its body did");
}

ApiAnswer failure_of(const Error& error, std::string_view what) {
    conf::log_error("upload failed key={} reason=\"{}\"", what, error.text);
    if (error.kind == ErrorKind::capped)
        return api_error(500, "no_storage_pool", "the pool has no room for the file");
    if (error.may_retry() || error.kind == ErrorKind::closed)
        return try_again("the file cannot be stored right now");
    return api_error(500, "internal_server_error", "the file could not be stored");
}

}  // namespace tidepool::upload
