#include "storage/s3_request.h"

#include "conf/ascii.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

// A request before it is signed. `headers` are signed, `unsigned_headers` only sent: those that
// something on the way may change.
struct S3Requests::Draft {
    std::string method;
    std::string path;
    std::vector<NamedValue> parameters{};
    std::vector<NamedValue> headers{};
    std::vector<NamedValue> unsigned_headers{};
    std::string payload_hash = std::string(kEmptyPayload);
    CallClass call_class = CallClass::a;
};

namespace {

struct Url {
    std::string scheme;  // with "://"
    std::string host;    // lower case, with a port only where it is not the scheme's own
};

Url split(std::string_view url) {
    constexpr std::string_view kSeparator = "://";
    const std::size_t end = url.find(kSeparator);
    Url parts;
    if (end == url.npos) {
        parts.scheme = "https://";
    } else {
        parts.scheme = conf::lower_case(url.substr(0, end + kSeparator.size()));
        url.remove_prefix(end + kSeparator.size());
    }
    parts.host = conf::lower_case(url.substr(0, url.find('/')));
    const std::string_view usual = parts.scheme == "https://" ? ":443" : ":80";
    if (parts.host.ends_with(usual)) parts.host.resize(parts.host.size() - usual.size());
    return parts;
}

// "bytes=0-9", "bytes=10-".
std::string range_text(const GetRange& range) {
    if (!range.length) return fmt::format("bytes={}-", range.offset);
    return fmt::format("bytes={}-{}", range.offset, range.offset + *range.length - 1);
}

std::vector<NamedValue> version_parameter(std::string_view version_id) {
    if (version_id.empty()) return {};
    return {{"versionId", std::string(version_id)}};
}

// What is kept with an object.
std::vector<NamedValue> object_headers(const PutOptions& options) {
    std::vector<NamedValue> headers{{"content-type", options.content_type}};
    if (!options.cache_control.empty()) headers.push_back({"cache-control", options.cache_control});
    if (options.sha256) headers.push_back({"x-amz-meta-sha256", conf::hex(*options.sha256)});
    return headers;
}

}  // namespace

std::vector<NamedValue> unsigned_read_headers(const ReadOptions& options) {
    std::vector<NamedValue> headers;
    if (options.range) headers.push_back({"range", range_text(*options.range)});
    if (!options.if_match.empty()) headers.push_back({"if-match", "\"" + options.if_match + "\""});
    return headers;
}

S3Requests::S3Requests(const conf::PoolSettings& settings)
    : bucket_(settings.bucket),
      path_prefix_(settings.path_prefix),
      download_url_(settings.download_url),
      access_key_id_(settings.access_key_id.reveal()),
      signer_(settings.access_key_id.reveal(), settings.secret_access_key, settings.region) {
    Url url = split(settings.endpoint_url);
    endpoint_ = url.scheme + url.host;
    scheme_ = std::move(url.scheme);
    if (settings.addressing == conf::PoolSettings::Addressing::virtual_host) {
        host_ = conf::lower_case(bucket_) + "." + url.host;
    } else {
        host_ = std::move(url.host);
        bucket_path_ = "/" + encode_path(bucket_);
    }
}

StoreRequest S3Requests::signed_request(Draft draft, std::int64_t now) const {
    const std::string query = encode_query(draft.parameters);
    draft.headers.push_back({"x-amz-content-sha256", draft.payload_hash});
    draft.headers.push_back({"x-amz-date", amz_time(now)});
    draft.headers.push_back({"host", host_});
    std::string authorization = signer_.authorization({.method = draft.method,
                                                       .path = draft.path,
                                                       .query = query,
                                                       .headers = draft.headers,
                                                       .payload_hash = draft.payload_hash},
                                                      now);
    draft.headers.pop_back();  // Host follows from the URL
    draft.headers.push_back({"authorization", std::move(authorization)});
    std::ranges::move(draft.unsigned_headers, std::back_inserter(draft.headers));
    std::string url = scheme_ + host_ + draft.path;
    if (!query.empty()) url += "?" + query;
    return {std::move(draft.method), std::move(url), std::move(draft.headers), draft.call_class};
}

std::string S3Requests::object_path(std::string_view key) const {
    return bucket_path_ + "/" + encode_path(stored_name(key));
}

StoreRequest S3Requests::get(std::string_view key, const ReadOptions& options,
                             std::int64_t now) const {
    return signed_request({.method = "GET",
                           .path = object_path(key),
                           .parameters = version_parameter(options.version_id),
                           .unsigned_headers = unsigned_read_headers(options),
                           .call_class = CallClass::b},
                          now);
}

StoreRequest S3Requests::head(std::string_view key, const ReadOptions& options,
                              std::int64_t now) const {
    return signed_request({.method = "HEAD",
                           .path = object_path(key),
                           .parameters = version_parameter(options.version_id),
                           .unsigned_headers = unsigned_read_headers(options),
                           .call_class = CallClass::b},
                          now);
}

StoreRequest S3Requests::put(std::string_view key, const PutOptions& options,
                             std::int64_t now) const {
    Draft draft{.method = "PUT", .path = object_path(key), .headers = object_headers(options)};
    if (options.sha256) draft.payload_hash = conf::hex(*options.sha256);
    return signed_request(std::move(draft), now);
}

StoreRequest S3Requests::remove(std::string_view key, std::string_view version_id,
                                std::int64_t now) const {
    return signed_request(
        {.method = "DELETE", .path = object_path(key), .parameters = version_parameter(version_id)},
        now);
}

std::string S3Requests::copy_source(std::string_view key, std::string_view version_id) const {
    std::string source = "/" + encode_path(bucket_) + "/" + encode_path(stored_name(key));
    if (!version_id.empty()) source += "?versionId=" + encode_query_text(version_id);
    return source;
}

StoreRequest S3Requests::copy(std::string_view source, std::string_view to_key,
                              const PutOptions& options, std::int64_t now) const {
    Draft draft{.method = "PUT",
                .path = object_path(to_key),
                .headers = object_headers(options),
                .call_class = CallClass::c};
    draft.headers.push_back({"x-amz-copy-source", std::string(source)});
    draft.headers.push_back({"x-amz-metadata-directive", "REPLACE"});
    return signed_request(std::move(draft), now);
}

StoreRequest S3Requests::list_objects(std::string_view prefix, const ObjectMarker& after,
                                      std::size_t limit, std::int64_t now) const {
    Draft draft{.method = "GET",
                .path = bucket_path_ + "/",
                .parameters = {{"list-type", "2"},
                               {"max-keys", std::to_string(limit)},
                               {"encoding-type", "url"},
                               {"prefix", stored_name(prefix)}},
                .call_class = CallClass::c};
    if (!after.name.empty()) draft.parameters.push_back({"start-after", after.name});
    if (!after.token.empty()) draft.parameters.push_back({"continuation-token", after.token});
    return signed_request(std::move(draft), now);
}

StoreRequest S3Requests::list_versions(std::string_view prefix, const VersionMarker& after,
                                       std::size_t limit, std::int64_t now) const {
    Draft draft{.method = "GET",
                .path = bucket_path_ + "/",
                .parameters = {{"versions", ""},
                               {"max-keys", std::to_string(limit)},
                               {"encoding-type", "url"},
                               {"prefix", stored_name(prefix)}},
                .call_class = CallClass::c};
    if (!after.key.empty()) draft.parameters.push_back({"key-marker", after.key});
    if (!after.version_id.empty())
        draft.parameters.push_back({"version-id-marker", after.version_id});
    return signed_request(std::move(draft), now);
}

StoreRequest S3Requests::head_bucket(std::int64_t now) const {
    return signed_request(
        {.method = "HEAD", .path = bucket_path_ + "/", .call_class = CallClass::c}, now);
}

StoreRequest S3Requests::create_upload(std::string_view key, const PutOptions& options,
                                       std::int64_t now) const {
    return signed_request({.method = "POST",
                           .path = object_path(key),
                           .parameters = {{"uploads", ""}},
                           .headers = object_headers(options)},
                          now);
}

StoreRequest S3Requests::put_part(std::string_view key, std::string_view upload_id, unsigned number,
                                  const conf::Sha256Digest& sha256, std::int64_t now) const {
    return signed_request({.method = "PUT",
                           .path = object_path(key),
                           .parameters = {{"partNumber", std::to_string(number)},
                                          {"uploadId", std::string(upload_id)}},
                           .payload_hash = conf::hex(sha256)},
                          now);
}

StoreRequest S3Requests::list_parts(std::string_view key, std::string_view upload_id,
                                    unsigned after, std::int64_t now) const {
    Draft draft{.method = "GET",
                .path = object_path(key),
                .parameters = {{"uploadId", std::string(upload_id)}},
                .call_class = CallClass::c};
    if (after > 0) draft.parameters.push_back({"part-number-marker", std::to_string(after)});
    return signed_request(std::move(draft), now);
}

StoreRequest S3Requests::complete_upload(std::string_view key, std::string_view upload_id,
                                         std::string_view body, std::int64_t now) const {
    return signed_request({.method = "POST",
                           .path = object_path(key),
                           .parameters = {{"uploadId", std::string(upload_id)}},
                           .headers = {{"content-type", "application/xml"}},
                           .payload_hash = conf::hex(conf::sha256(body))},
                          now);
}

StoreRequest S3Requests::abort_upload(std::string_view key, std::string_view upload_id,
                                      std::int64_t now) const {
    return signed_request({.method = "DELETE",
                           .path = object_path(key),
                           .parameters = {{"uploadId", std::string(upload_id)}}},
                          now);
}

StoreRequest S3Requests::list_uploads(std::string_view prefix, const UploadMarker& after,
                                      std::int64_t now) const {
    Draft draft{
        .method = "GET",
        .path = bucket_path_ + "/",
        .parameters = {{"uploads", ""}, {"encoding-type", "url"}, {"prefix", stored_name(prefix)}},
        .call_class = CallClass::c};
    if (!after.key.empty()) draft.parameters.push_back({"key-marker", after.key});
    if (!after.upload_id.empty()) draft.parameters.push_back({"upload-id-marker", after.upload_id});
    return signed_request(std::move(draft), now);
}

std::string S3Requests::friendly_url(std::string_view key, const DownloadGrant& grant) const {
    const std::string& host = grant.download_url.empty() ? download_url_ : grant.download_url;
    return host + "/file/" + encode_path(bucket_) + "/" + encode_path(stored_name(key));
}

StoreRequest S3Requests::friendly_get(std::string_view key, const ReadOptions& options,
                                      const DownloadGrant& grant) const {
    StoreRequest request{"GET", friendly_url(key, grant), unsigned_read_headers(options),
                         CallClass::b};
    if (!grant.authorization.empty())
        request.headers.push_back({"authorization", grant.authorization});
    return request;
}

StoreRequest S3Requests::friendly_head(std::string_view key, const DownloadGrant& grant) const {
    StoreRequest request = friendly_get(key, {}, grant);
    request.method = "HEAD";
    return request;
}

std::string S3Requests::presigned_url(std::string_view key, std::int64_t now,
                                      const Presigned& wanted) const {
    const std::string path = object_path(key);
    std::vector<NamedValue> parameters;
    if (!wanted.cache_control.empty())
        parameters.push_back({"response-cache-control", wanted.cache_control});
    return scheme_ + host_ + path + "?" +
           signer_.presigned_query(wanted.method, path, host_, std::move(parameters), now,
                                   wanted.lifetime_s);
}

std::optional<std::string> S3Requests::key_of(std::string_view stored_name) const {
    if (!stored_name.starts_with(path_prefix_)) return std::nullopt;
    return std::string(stored_name.substr(path_prefix_.size()));
}

bool S3Requests::same_store(const S3Requests& other) const {
    return endpoint_ == other.endpoint_ && access_key_id_ == other.access_key_id_;
}

}  // namespace tidepool::storage
