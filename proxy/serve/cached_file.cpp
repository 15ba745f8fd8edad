#include "proxy/serve/cached_file.h"

#include "proxy/http/date.h"
#include "transform/content_type.h"

#include <algorithm>

#include <fmt/format.h>

namespace tidepool::serve {

std::string etag_of(const conf::Sha256Digest& sha256) {
    return '"' + conf::hex(sha256) + '"';
}

std::string etag_of(const RemoteObject& object) {
    if (object.sha256) return etag_of(*object.sha256);
    conf::Sha256 sha256;
    sha256.update(object.version());
    return "\"s-" + conf::hex(sha256.finish()).substr(0, 32) + '"';
}

void describe(CachedFile& file, std::string_view key, std::string_view etag,
              const CachePolicy& policy, std::int64_t now) {
    file.image = storage::parse_image_key(key).image;
    file.last_modified = std::clamp<std::int64_t>(file.identity.modified_s(), 0, now);
    const std::string_view cache_status = file.in_memory()                         ? kStatusMemory
                                          : file.held == CachedFile::Held::in_file ? kStatusFile
                                                                                   : kStatusOrigin;
    // A browser that opens such a file by itself must neither run it nor let it reach the site (it
    // is somebody's upload).
    const std::string_view active_fields =
        transform::is_active_content(file.content_type)
            ? "Content-Disposition: attachment\r\nContent-Security-Policy: default-src 'none'; "
              "sandbox\r\n"
            : "";
    const std::string lifetime =
        file.is_unshared ? std::string(kPrivateLifetime)
                         : policy.lines(key, 200, file.content_type) +
                               policy.tag_line({key, file.pool_name(), file.last_modified}, 200,
                                               file.content_type);
    std::string& lines = file.lines;
    lines = fmt::format("Content-Type: {}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n",
                        file.content_type, file.identity.size);
    const auto here = [&lines] { return static_cast<std::uint32_t>(lines.size()); };
    file.shared_at = here();
    lines += fmt::format("Last-Modified: {}\r\nX-Content-Type-Options: nosniff\r\n{}",
                         http::format_date(file.last_modified), active_fields);
    file.lifetime_at = here();
    lines += lifetime;
    lines += "ETag: ";
    file.etag_at = here();
    file.etag_bytes = static_cast<std::uint32_t>(etag.size());
    lines += etag;
    lines += "\r\n";
    file.cache_status_at = here();
    lines += cache_status;
    lines.shrink_to_fit();
}

}  // namespace tidepool::serve
