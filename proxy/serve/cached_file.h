// One file as it is served: its content or descriptor, and everything its answers say.
#pragma once

#include "conf/digest.h"
#include "proxy/serve/cache_policy.h"
#include "storage/open_file.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tidepool::serve {

// Never changes once made; shared by the cache and the answers being sent.
struct CachedFile {
    storage::FileIdentity identity;
    std::size_t pool = 0;  // which of the finder's pools has it
    // Exactly one of the two holds the content: small files are held in memory, so that rewriting
    // them in place cannot reach an answer; of others the descriptor is kept, so that an answer
    // goes on from the version it began with.
    std::shared_ptr<const storage::OpenFile> file;
    std::string body;

    std::string_view content_type;
    std::string etag;  // with its quotes: the content's SHA-256 in hex
    std::int64_t last_modified = 0;
    std::string fields;    // header lines that 200, 206 and 304 share
    std::string head_200;  // the heads of the two answers that are given most, for one that was in
                           // the cache
    std::string head_304;

    bool in_memory() const { return file == nullptr; }
    // What it takes in the cache's memory, bookkeeping included.
    std::size_t cost() const {
        return body.size() + fields.size() + head_200.size() + head_304.size() + 512;
    }
};

// Fills in what follows from identity, content, type and key. `sha256` is of the whole content;
// `now` in seconds bounds Last-Modified, which may not lie ahead (RFC 9110, 8.8.2.1).
void describe(CachedFile& file, std::string_view key, const conf::Sha256Digest& sha256,
              const CachePolicy& policy, std::int64_t now);

// Cache-Status lines (RFC 9211).
inline constexpr std::string_view kStatusMemory = "Cache-Status: tidepool; hit; detail=memory\r\n";
inline constexpr std::string_view kStatusFile = "Cache-Status: tidepool; hit; detail=file\r\n";
inline constexpr std::string_view kStatusMiss =
    "Cache-Status: tidepool; fwd=uri-miss; stored; detail=disk\r\n";
inline constexpr std::string_view kStatusAbsent = "Cache-Status: tidepool; hit; detail=absent\r\n";
inline constexpr std::string_view kStatusAbsentMiss =
    "Cache-Status: tidepool; fwd=uri-miss; detail=absent\r\n";

}  // namespace tidepool::serve
