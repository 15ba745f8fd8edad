// A bucket as the server reads from it: its requests, and what guards it.
#pragma once

#include "conf/digest.h"
#include "conf/settings.h"
#include "proxy/http/fetch.h"
#include "proxy/serve/download_authorization.h"
#include "storage/catalog_records.h"
#include "storage/s3_request.h"
#include "storage/shelf.h"
#include "storage/store_gate.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::serve {

// Shared by all loops.
struct RemotePool {
    explicit RemotePool(const conf::PoolSettings& its_settings)
        : settings(its_settings), requests(its_settings), gate(its_settings) {}

    const conf::PoolSettings settings;
    const storage::S3Requests requests;
    storage::StoreGate gate;

    // For metrics.
    std::atomic<std::uint64_t> fetches{0};   // requests made
    std::atomic<std::uint64_t> failures{0};  // of these, the ones that did not give what was asked
    std::atomic<std::uint64_t> resumed{0};   // bodies that broke and were gone on with
    std::atomic<std::uint64_t> corrupt{0};   // contents that were not what the catalog says
    std::atomic<std::uint64_t> missing{0};   // objects that are not there, against the catalog
    std::atomic<std::uint64_t> mirrored{0};  // answers that another pool's copy gave
    std::atomic<std::uint64_t> bytes{0};     // of bodies

    // Null where the bucket is read without one. Set before the pool is shared. Last, as it uses
    // the gate.
    std::unique_ptr<DownloadAuthorization> authorization;
};

// One version of an object in a bucket, as the catalog knows it. Never changes.
struct RemoteObject {
    std::shared_ptr<RemotePool> pool;
    std::string key;
    std::uint64_t size = 0;
    std::optional<conf::Sha256Digest> sha256;
    std::string store_etag;  // "" = not known
    std::string version_id;  // "" = not known

    // A content that was proved, by what it is known again.
    struct Proved {
        conf::Sha256Digest sha256{};
        conf::FingerprintDigest fingerprint{};
        bool operator==(const Proved&) const = default;
    };
    // A signed read of all of it.
    struct Signed {
        const RemotePool* pool = nullptr;
        std::string version_id;
        std::int64_t at = 0;  // seconds since 1970
        std::string url;
        std::string fields;  // as those of a FetchRequest
    };
    // A URL that opens it for a visitor.
    struct Location {
        const RemotePool* pool = nullptr;
        std::int64_t at = 0;  // seconds since 1970
        std::string url;
    };
    // What is known by having fetched it. Shared by all that stands for this object.
    struct Seen {
        std::mutex mutex;
        // The version that its store named first, by the id that stores give versions: what comes
        // later must be of the same one.
        std::string version_id;
        std::optional<Proved> proved;
        std::shared_ptr<const Signed> read;        // the last one
        std::shared_ptr<const Location> location;  // the same
    };
    std::shared_ptr<Seen> seen = std::make_shared<Seen>();
    // False where another version was seen before, or the row names another. `id` may be "".
    bool is_of_version(std::string_view id) const;

    // Tells its content from any other that the key ever had. The store's word for it where there
    // is one, as that does not change when the digest becomes known.
    std::string version() const;
    bool same_content(const RemoteObject& other) const {
        return pool == other.pool && size == other.size && version() == other.version();
    }
};

// The object that a row of the catalog names in this pool.
std::shared_ptr<RemoteObject> remote_object(const storage::ObjectRecord& row,
                                            std::shared_ptr<RemotePool> pool);

// Under which all of it is on the shelf.
storage::ShelfName shelf_name(const RemoteObject& object);

// How long such a URL is good, and for how long it is given again: a visitor who gets it last still
// has time to come.
inline constexpr std::int64_t kLocationSeconds = 900;
inline constexpr std::int64_t kSameLocationSeconds = 780;
// Where the object of a private image is, for GET or HEAD of whoever gets this, without
// credentials. That of GET is the same for a while. `now` is in seconds since 1970. It is of the S3
// API also where the pool is read by its friendly URL, as what opens that opens every name with its
// beginning (contracts: b2-s3.md 10).
std::string signed_location(const RemoteObject& object, bool is_head, std::int64_t now);

// A read of bytes [offset, offset + length) of an object; `if_match` is an ETag or "". `grant` is
// for a private bucket behind its friendly URL, else empty. `now` is in seconds since 1970. Headers
// of clients are never passed on but CDN-Loop, with our name appended.
http::FetchRequest fetch_of(const RemoteObject& object, std::uint64_t offset, std::uint64_t length,
                            std::string_view if_match, const storage::DownloadGrant& grant,
                            const conf::OriginSettings& settings, std::string_view cdn_loop,
                            std::int64_t now);

}  // namespace tidepool::serve
