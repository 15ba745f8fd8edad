#include "proxy/serve/remote_pool.h"

#include <span>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

std::string RemoteObject::version() const {
    if (!version_id.empty()) return version_id;
    if (!store_etag.empty() || !sha256) return fmt::format("{}-{}", store_etag, size);
    return conf::hex(*sha256);
}

std::shared_ptr<RemoteObject> remote_object(const storage::ObjectRecord& row,
                                            std::shared_ptr<RemotePool> pool) {
    auto object = std::make_shared<RemoteObject>();
    object->pool = std::move(pool);
    object->key = row.key;
    object->size = row.size;
    object->sha256 = row.sha256;
    object->store_etag = row.store_etag;
    object->version_id = row.version_id;
    return object;
}

storage::ShelfName shelf_name(const RemoteObject& object) {
    return {object.pool->settings.name, object.key, object.version(), std::nullopt, object.size};
}

bool RemoteObject::is_of_version(std::string_view id) const {
    if (id.empty() || id == "null") return true;
    if (!version_id.empty()) return id == version_id;
    const std::lock_guard lock(seen->mutex);
    if (seen->version_id.empty()) seen->version_id = id;
    return seen->version_id == id;
}

namespace {

// Stores take a signature for 15 minutes, also where their clocks are not quite ours.
constexpr std::int64_t kSignatureSeconds = 60;

void add_fields(std::string& fields, std::span<const storage::NamedValue> headers) {
    for (const storage::NamedValue& header : headers)
        fields.append(header.name).append(": ").append(header.value).append("\r\n");
}

std::shared_ptr<const RemoteObject::Signed> sign(const RemoteObject& object, std::int64_t now) {
    storage::StoreRequest request =
        object.pool->requests.get(object.key, {.version_id = object.version_id}, now);
    auto made = std::make_shared<RemoteObject::Signed>();
    made->pool = object.pool.get();
    made->version_id = object.version_id;
    made->at = now;
    made->url = std::move(request.url);
    add_fields(made->fields, request.headers);
    return made;
}

// The last one serves for a while: signing costs as much as all the rest of a request's text, and
// the slices of an object are asked for one after the other.
std::shared_ptr<const RemoteObject::Signed> signed_read(const RemoteObject& object,
                                                        std::int64_t now) {
    RemoteObject::Seen& seen = *object.seen;
    {
        const std::lock_guard lock(seen.mutex);
        const RemoteObject::Signed* last = seen.read.get();
        if (last != nullptr && last->pool == object.pool.get() && last->at <= now &&
            now - last->at < kSignatureSeconds && last->version_id == object.version_id)
            return seen.read;
    }
    auto made = sign(object, now);
    const std::lock_guard lock(seen.mutex);
    seen.read = made;
    return made;
}

}  // namespace

std::string signed_location(const RemoteObject& object, bool is_head, std::int64_t now) {
    const storage::S3Requests& requests = object.pool->requests;
    // The object was stored with the lifetime of a public one.
    const storage::S3Requests::Presigned wanted{.lifetime_s = kLocationSeconds,
                                                .method = is_head ? "HEAD" : "GET",
                                                .cache_control = "private, max-age=60"};
    if (is_head) return requests.presigned_url(object.key, now, wanted);
    RemoteObject::Seen& seen = *object.seen;
    {
        const std::lock_guard lock(seen.mutex);
        const RemoteObject::Location* const last = seen.location.get();
        if (last != nullptr && last->pool == object.pool.get() && last->at <= now &&
            now - last->at < kSameLocationSeconds)
            return last->url;
    }
    auto made = std::make_shared<RemoteObject::Location>();
    made->pool = object.pool.get();
    made->at = now;
    made->url = requests.presigned_url(object.key, now, wanted);
    const std::lock_guard lock(seen.mutex);
    seen.location = made;
    return made->url;
}

http::FetchRequest fetch_of(const RemoteObject& object, std::uint64_t offset, std::uint64_t length,
                            std::string_view if_match, const storage::DownloadGrant& grant,
                            const conf::OriginSettings& settings, std::string_view cdn_loop,
                            std::int64_t now) {
    storage::ReadOptions options;
    options.version_id = object.version_id;
    options.if_match = if_match;
    if (offset > 0 || length < object.size) options.range = storage::GetRange{offset, length};

    const RemotePool& pool = *object.pool;
    http::FetchRequest fetch;
    if (pool.settings.origin == conf::PoolSettings::Origin::s3) {
        const auto read = signed_read(object, now);
        fetch.url = read->url;
        fetch.fields.reserve(read->fields.size() + 128);
        fetch.fields = read->fields;
        add_fields(fetch.fields, storage::unsigned_read_headers(options));
    } else {
        storage::StoreRequest request = pool.requests.friendly_get(object.key, options, grant);
        fetch.url = std::move(request.url);
        add_fields(fetch.fields, request.headers);
    }
    fetch.fields.append("CDN-Loop: ").append(cdn_loop).append(cdn_loop.empty() ? "" : ", ");
    fetch.fields.append(settings.loop_id).append("\r\n");
    fetch.connect_timeout = settings.connect_timeout;
    fetch.first_byte_timeout = settings.first_byte_timeout;
    fetch.stall_timeout = settings.stall_timeout;
    return fetch;
}

}  // namespace tidepool::serve
