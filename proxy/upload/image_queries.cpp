#include "proxy/upload/image_queries.h"

#include "proxy/api/api_key.h"
#include "proxy/serve/private_access.h"
#include "proxy/upload/image_resource.h"
#include "proxy/upload/processing.h"
#include "storage/image_key.h"

#include <algorithm>
#include <ctime>
#include <optional>
#include <vector>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;
using api::Json;
using State = storage::ImageRecord::State;

ApiAnswer absent_image() {
    return api_error(404, "not_found", "there is no such image");
}

// Whether its bytes are for those alone who have a signed URL.
Result<bool> is_private(const UploadMeans& means, const storage::ImageRecord& image) {
    if (serve::PrivateRules(means.settings.private_images).covers(image.original)) return true;
    const auto location = means.catalog->locate(image.original);
    if (!location) return std::unexpected(location.error());
    const std::vector<storage::KnownPool> pools = means.drivers->pools();
    const auto home = std::ranges::find(pools, image.pool, &storage::KnownPool::id);
    return location->is_private || (home != pools.end() && home->settings.is_private());
}

// One that the key's owner may see: its own, and those whose owner nobody knows, if they are
// public.
Result<std::optional<storage::ImageRecord>> find_visible(const UploadMeans& means,
                                                         const storage::KeyRecord& key,
                                                         const storage::Uuid& uuid) {
    auto image = means.catalog->find_image(uuid);
    if (!image || !*image) return image;
    if ((*image)->state == State::deleting) return std::nullopt;
    if ((*image)->owner == key.owner) return image;
    if (!(*image)->owner.empty()) return std::nullopt;
    const auto hidden = is_private(means, **image);
    if (!hidden) return std::unexpected(hidden.error());
    if (*hidden) return std::nullopt;
    return image;
}

// The same by its name. Of one whose variants are tried again nothing has failed yet.
Result<std::optional<storage::ImageRecord>> visible_image(const UploadMeans& means,
                                                          const storage::KeyRecord& key,
                                                          std::string_view text) {
    const auto uuid = storage::parse_uuid(text);
    if (!uuid) return std::nullopt;
    auto image = find_visible(means, key, *uuid);
    if (!image || !*image || (*image)->state != State::failed) return image;
    const auto job = means.catalog->find_open_job(process_key(*uuid));
    if (!job) return std::unexpected(job.error());
    // Once more, as the job may have ended well since it was read.
    if (!*job) return find_visible(means, key, *uuid);
    (*image)->state = State::incomplete;
    ImageFacts facts = read_facts((*image)->metadata);
    facts.failure.clear();
    (*image)->metadata = text_of(facts);
    return image;
}

}  // namespace

ApiAnswer show_image(const UploadMeans& means, const storage::KeyRecord& key,
                     std::string_view uuid) {
    const auto image = visible_image(means, key, uuid);
    if (!image) return api_error(image.error());
    if (!*image) return absent_image();
    const auto rows = means.catalog->objects_of((*image)->uuid);
    if (!rows) return api_error(rows.error());
    return {.status = 200,
            .body = api::text_of(
                image_resource(means.settings, means.drivers->pools(), **image, *rows)),
            .fields = {}};
}

ApiAnswer show_status(const UploadMeans& means, const storage::KeyRecord& key,
                      std::string_view uuid) {
    const auto image = visible_image(means, key, uuid);
    if (!image) return api_error(image.error());
    if (!*image) return absent_image();
    const bool is_complete = (*image)->state == State::complete;
    const std::string view =
        is_complete ? view_url_of(means.settings, (*image)->uuid) : std::string();
    return {.status = 200,
            .body = api::text_of({{"complete", is_complete},
                                  {"failed", (*image)->state == State::failed},
                                  {"view_url", view.empty() ? Json(nullptr) : Json(view)}}),
            .fields = {}};
}

ApiAnswer show_profile(const UploadMeans& means, const storage::KeyRecord& key) {
    const auto use = means.catalog->owner_use(key.owner, std::time(nullptr));
    if (!use) return api_error(use.error());
    const api::KeyLimits limits = api::read_limits(key.limits);
    const conf::UploadSettings& settings = means.settings.upload;
    const bool is_open = !settings.token_secret.empty();
    Json quota = nullptr;
    Json remaining = nullptr;
    if (limits.quota_bytes) {
        quota = *limits.quota_bytes;
        remaining =
            *limits.quota_bytes - std::min(*limits.quota_bytes, use->bytes + use->reserved_bytes);
    }
    const std::uint64_t most = api::most_bytes(settings, limits);
    return {.status = 200,
            .body = api::text_of({{"id", key.owner},
                                  {"limits",
                                   {{"max_upload_bytes", most},
                                    {"storage_quota_bytes", quota},
                                    {"image_upload_enabled", is_open},
                                    {"direct_upload_enabled", is_open}}},
                                  {"stats",
                                   {{"images",
                                     {{"count", use->images},
                                      {"storage_used_bytes", use->bytes},
                                      {"storage_remaining_bytes", remaining}}}}}}),
            .fields = {}};
}

}  // namespace tidepool::upload
