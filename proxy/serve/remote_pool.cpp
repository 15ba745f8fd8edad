#include "proxy/serve/remote_pool.h"

#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

std::string RemoteObject::version() const {
    if (!version_id.empty()) return version_id;
    if (!store_etag.empty() || !sha256) return fmt::format("{}-{}", store_etag, size);
    return conf::hex(*sha256);
}

bool RemoteObject::is_of_version(std::string_view id) const {
    if (id.empty() || id == "null") return true;
    if (!version_id.empty()) return id == version_id;
    const std::lock_guard lock(seen->mutex);
    if (seen->version_id.empty()) seen->version_id = id;
    return seen->version_id == id;
}

loop::FetchRequest fetch_of(const RemoteObject& object, std::uint64_t offset, std::uint64_t length,
                            std::string_view if_match, const storage::DownloadGrant& grant,
                            const conf::OriginSettings& settings, std::string_view cdn_loop,
                            std::int64_t now) {
    storage::ReadOptions options;
    options.version_id = object.version_id;
    options.if_match = if_match;
    if (offset > 0 || length < object.size) options.range = storage::GetRange{offset, length};

    const RemotePool& pool = *object.pool;
    storage::StoreRequest request = pool.settings.origin == conf::PoolSettings::Origin::s3
                                        ? pool.requests.get(object.key, options, now)
                                        : pool.requests.friendly_get(object.key, options, grant);
    loop::FetchRequest fetch;
    fetch.url = std::move(request.url);
    for (const storage::NamedValue& header : request.headers)
        fetch.fields.push_back(header.name + ": " + header.value);
    fetch.fields.push_back(cdn_loop.empty()
                               ? "CDN-Loop: " + settings.loop_id
                               : fmt::format("CDN-Loop: {}, {}", cdn_loop, settings.loop_id));
    fetch.expected_bytes = length;
    fetch.connect_timeout = settings.connect_timeout;
    fetch.first_byte_timeout = settings.first_byte_timeout;
    fetch.stall_timeout = settings.stall_timeout;
    return fetch;
}

}  // namespace tidepool::serve
