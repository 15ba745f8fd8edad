// One file as it is served: its content or descriptor, and everything its answers say.
#pragma once

#include "conf/digest.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/cache_policy.h"
#include "proxy/serve/remote_pool.h"
#include "storage/image_key.h"
#include "storage/local_pool.h"
#include "storage/open_file.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tidepool::serve {

// Never changes once made; shared by the cache and the answers being sent.
struct CachedFile {
    // Where the content is. Small files are held in memory, so that rewriting them in place cannot
    // reach an answer; of others the descriptor is kept, so that an answer goes on from the version
    // it began with. Of an object that is only in a bucket nothing but its description is here, and
    // of one whose image was deleted not even that.
    enum class Held : std::uint8_t { in_memory, in_file, remote, deleted };
    Held held = Held::in_memory;
    storage::FileIdentity identity;              // of a remote object its size and time alone
    const storage::LocalPool* pool = nullptr;    // that has it; never goes away
    std::shared_ptr<const RemoteObject> remote;  // of a bucket's object, wherever its bytes are
    std::shared_ptr<const storage::OpenFile> file;
    loop::WorkerPool* readers = nullptr;  // of `file`
    std::string body;
    bool is_redirected = false;       // visitors are sent to where it is instead
    std::string location;             // by this URL; "" where it must be signed
    std::uint64_t catalog_state = 0;  // Stores::catalog_state() from before the row was read

    std::optional<storage::Uuid> image;  // whose original or variant it is
    bool is_private = false;   // only who has a signed URL gets it, or learns that it is there
    bool is_unshared = false;  // and its answers are for no shared cache
    std::string content_type;
    std::int64_t last_modified = 0;
    // The header lines of a 200 for one that was in the cache, so ordered that what other answers
    // say of it is a stretch of them: many are known at a time. See describe().
    std::string lines;
    std::uint32_t shared_at = 0;
    std::uint32_t lifetime_at = 0;
    std::uint32_t etag_at = 0;
    std::uint32_t etag_bytes = 0;
    std::uint32_t cache_status_at = 0;

    // The name of the pool that has it; "" where there is none.
    std::string_view pool_name() const {
        if (remote && remote->pool) return remote->pool->settings.name;
        return pool != nullptr ? std::string_view(pool->name()) : std::string_view();
    }
    bool in_memory() const { return held == Held::in_memory; }
    bool is_deleted() const { return held == Held::deleted; }
    // With its quotes: the content's SHA-256 in hex. "" before it is described.
    std::string_view etag() const { return stretch(etag_at, etag_at + etag_bytes); }
    // What 200 and 206 share.
    std::string_view shared_lines() const { return stretch(shared_at, cache_status_at); }
    // Those of a 304: no more than guides a cache's update (RFC 9110, 15.4.5).
    std::string_view lines_304() const { return stretch(lifetime_at, lines.size()); }
    // What it takes in the cache's memory, bookkeeping included.
    std::size_t cost() const { return body.size() + lines.size() + 512; }

  private:
    std::string_view stretch(std::size_t from, std::size_t to) const {
        return std::string_view(lines).substr(from, to - from);
    }
};

// The ETag of a content: its SHA-256. Of an object whose bytes nobody has read yet: one that
// follows from what its store says, so that it is another for another content.
std::string etag_of(const conf::Sha256Digest& sha256);
std::string etag_of(const RemoteObject& object);

// Fills in what follows from identity, content, type and key. `now` in seconds bounds
// Last-Modified, which may not lie ahead (RFC 9110, 8.8.2.1).
void describe(CachedFile& file, std::string_view key, std::string_view etag,
              const CachePolicy& policy, std::int64_t now);

// Cache-Status lines (RFC 9211).
inline constexpr std::string_view kStatusMemory = "Cache-Status: tidepool; hit; detail=memory\r\n";
inline constexpr std::string_view kStatusFile = "Cache-Status: tidepool; hit; detail=file\r\n";
inline constexpr std::string_view kStatusOrigin =
    "Cache-Status: tidepool; fwd=uri-miss; detail=origin\r\n";
inline constexpr std::string_view kStatusMiss =
    "Cache-Status: tidepool; fwd=uri-miss; stored; detail=disk\r\n";
inline constexpr std::string_view kStatusStandIn =
    "Cache-Status: tidepool; fwd=uri-miss; detail=stand-in\r\n";
inline constexpr std::string_view kStatusAbsent = "Cache-Status: tidepool; hit; detail=absent\r\n";
inline constexpr std::string_view kStatusAbsentMiss =
    "Cache-Status: tidepool; fwd=uri-miss; detail=absent\r\n";

}  // namespace tidepool::serve
