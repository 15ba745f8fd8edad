// The XML that S3 stores speak (contracts: b2-s3.md 4.3, 5): reads their answers, writes the few
// bodies they are sent. Owner of pugixml. Pure; any thread.
#pragma once

#include "conf/error.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// A longer answer is not read: a full page of keys of the greatest length stays below.
inline constexpr std::size_t kMaxXmlBytes = 16ULL * 1024 * 1024;

struct StoreErrorText {
    std::string code{};
    std::string message{};
    std::string request_id{};  // B2 sends none in the body
};
// Nothing where this is no <Error> document.
std::optional<StoreErrorText> parse_error_xml(std::string_view body);

// Names are the store's (with a pool's path_prefix), decoded.
struct ListedObject {
    std::string name{};
    std::uint64_t size = 0;
    std::int64_t modified_s = 0;
    std::string etag{};  // without quotes
};
struct ObjectListing {
    std::vector<ListedObject> objects{};
    bool is_truncated = false;
    std::string next_token{};
};
// Of ListObjectsV2 with encoding-type=url. All parse functions: ErrorKind::io for what is not the
// expected document, as a cut or foreign answer may be whole when it is asked for again.
Result<ObjectListing> parse_object_listing(std::string_view body);

struct ListedVersion {
    std::string name{};
    std::string version_id{};
    bool is_marker = false;  // a delete marker, which has no content
    bool is_latest = false;
    std::uint64_t size = 0;
    std::int64_t modified_s = 0;
};
struct VersionListing {
    std::vector<ListedVersion> versions{};  // in the store's order: by name, newest first
    bool is_truncated = false;
    std::string next_key{};
    std::string next_version_id{};
};
Result<VersionListing> parse_version_listing(std::string_view body);

// The upload's id of InitiateMultipartUploadResult.
Result<std::string> parse_upload_id(std::string_view body);

struct ListedPart {
    unsigned number = 0;
    std::uint64_t size = 0;
    std::string etag{};  // without quotes
};
struct PartListing {
    std::vector<ListedPart> parts{};
    unsigned next = 0;  // the marker to go on with; 0 = that was all
};
Result<PartListing> parse_part_listing(std::string_view body);

struct ListedUpload {
    std::string name{};
    std::string upload_id{};
    std::int64_t initiated_s = 0;
};
struct UploadListing {
    std::vector<ListedUpload> uploads{};
    bool is_truncated = false;
    std::string next_key{};
    std::string next_upload_id{};
};
Result<UploadListing> parse_upload_listing(std::string_view body);

// The ETag of CopyObjectResult or CompleteMultipartUploadResult, without quotes. Both may come with
// status 200 and be an <Error> instead: ask parse_error_xml first.
Result<std::string> parse_result_etag(std::string_view body);

// The body of CompleteMultipartUpload.
std::string complete_upload_xml(std::span<const ListedPart> parts);

// Seconds since 1970 of "2026-02-25T10:11:12.000Z"; 0 for anything else.
std::int64_t parse_iso_time(std::string_view text);

}  // namespace tidepool::storage
