// The requests that an S3 store understands, built and signed for one pool (contracts: b2-s3.md 1,
// 4). Pure: whoever sends them, a blocking client or an event loop, sends exactly these.
#pragma once

#include "conf/settings.h"
#include "storage/budget.h"
#include "storage/driver.h"
#include "storage/sigv4.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::storage {

// One request, ready for the wire. The client must send the URL's path as it is (no removal of
// dots), follow no redirect, and send Host as the URL has it: it is signed.
struct StoreRequest {
    std::string method{};
    std::string url{};
    // To be sent with the request, and no other x-amz-*. Content-Length is the client's.
    std::vector<NamedValue> headers{};
    CallClass call_class = CallClass::b;
};

// Which bytes of which version are read.
struct ReadOptions {
    std::optional<GetRange> range{};  // nothing = all; a length of 0 cannot be asked for
    std::string version_id{};         // "" = the current one
    std::string if_match{};           // an ETag without quotes; "" = none
};

// What opens a private bucket by its friendly URL (contracts: b2-s3.md 3). Both are empty for a
// public one.
struct DownloadGrant {
    std::string authorization{};  // a secret, sent as Authorization; "" = none
    std::string download_url{};   // where it is good; "" = the pool's
};

// The headers of a read that no signature covers, as somebody on the way may change them. So one
// signature serves all reads of a version for as long as its time is good.
std::vector<NamedValue> unsigned_read_headers(const ReadOptions& options);

// Where a list goes on; all empty at its start. Names are the store's.
struct ObjectMarker {
    std::string name{};   // behind this one, or
    std::string token{};  // where the store's own word says
};
struct VersionMarker {
    std::string key{};  // as the store has it
    std::string version_id{};
};
struct UploadMarker {
    std::string key{};
    std::string upload_id{};
};

// Builds requests for one pool. Immutable; any thread. `now` is the store's idea of seconds since
// 1970 (up to 15 minutes off). Keys are the pool's: path_prefix is put before them here.
class S3Requests {
  public:
    explicit S3Requests(const conf::PoolSettings& settings);

    StoreRequest get(std::string_view key, const ReadOptions& options, std::int64_t now) const;
    StoreRequest head(std::string_view key, const ReadOptions& options, std::int64_t now) const;

    // `options.sha256` must be known: it is the payload's hash, and kept as x-amz-meta-sha256.
    StoreRequest put(std::string_view key, const PutOptions& options, std::int64_t now) const;
    // Without a version: adds a delete marker. With one: that version is gone for good.
    StoreRequest remove(std::string_view key, std::string_view version_id, std::int64_t now) const;
    // `source` is copy_source() of the other pool's requests. Type, lifetime and hash are set anew.
    StoreRequest copy(std::string_view source, std::string_view to_key, const PutOptions& options,
                      std::int64_t now) const;
    // The value of x-amz-copy-source: "/bucket/key", encoded.
    std::string copy_source(std::string_view key, std::string_view version_id) const;

    // A bucket's objects by key.
    StoreRequest list_objects(std::string_view prefix, const ObjectMarker& after, std::size_t limit,
                              std::int64_t now) const;
    StoreRequest list_versions(std::string_view prefix, const VersionMarker& after,
                               std::size_t limit, std::int64_t now) const;
    StoreRequest head_bucket(std::int64_t now) const;

    StoreRequest create_upload(std::string_view key, const PutOptions& options,
                               std::int64_t now) const;
    StoreRequest put_part(std::string_view key, std::string_view upload_id, unsigned number,
                          const conf::Sha256Digest& sha256, std::int64_t now) const;
    StoreRequest list_parts(std::string_view key, std::string_view upload_id, unsigned after,
                            std::int64_t now) const;
    // `body` is what is sent (s3_xml.h writes it).
    StoreRequest complete_upload(std::string_view key, std::string_view upload_id,
                                 std::string_view body, std::int64_t now) const;
    StoreRequest abort_upload(std::string_view key, std::string_view upload_id,
                              std::int64_t now) const;
    StoreRequest list_uploads(std::string_view prefix, const UploadMarker& after,
                              std::int64_t now) const;

    // B2's download by name: DOWNLOAD_URL/file/BUCKET/KEY. The pool or the grant has the first.
    std::string friendly_url(std::string_view key, const DownloadGrant& grant) const;
    StoreRequest friendly_get(std::string_view key, const ReadOptions& options,
                              const DownloadGrant& grant) const;
    StoreRequest friendly_head(std::string_view key, const DownloadGrant& grant) const;

    // How a URL that opens an object is to be. `cache_control` is what its answer says in place of
    // what the object was stored with; "" = that.
    struct Presigned {
        std::int64_t lifetime_s = 0;  // 1..604800
        std::string_view method = "GET";
        std::string cache_control{};
    };
    // One that needs no credentials.
    std::string presigned_url(std::string_view key, std::int64_t now,
                              const Presigned& wanted) const;

    // The pool's key of a name in the bucket; nothing where path_prefix is not in front of it.
    std::optional<std::string> key_of(std::string_view stored_name) const;
    std::string stored_name(std::string_view key) const { return path_prefix_ + std::string(key); }

    // Two pools of one store can copy without this machine.
    bool same_store(const S3Requests& other) const;

  private:
    struct Draft;
    StoreRequest signed_request(Draft draft, std::int64_t now) const;
    std::string object_path(std::string_view key) const;

    std::string scheme_;  // "https://"
    std::string host_;    // with the bucket in front in virtual-host style; port if not the usual
    std::string bucket_path_;  // "/bucket" in path style, else ""
    std::string endpoint_;     // scheme and host without the bucket
    std::string bucket_;
    std::string path_prefix_;
    std::string download_url_;
    std::string access_key_id_;
    Signer signer_;
};

}  // namespace tidepool::storage
