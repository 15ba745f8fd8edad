#include "proxy/upload/upload_session.h"

#include "conf/digest.h"
#include "conf/log.h"
#include "proxy/api/api_key.h"
#include "proxy/upload/processing.h"
#include "proxy/upload/upload_answers.h"
#include "proxy/upload/upload_token.h"
#include "storage/pool_choice.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::upload {

namespace {

using api::api_error;
using api::ApiAnswer;
using api::Json;

constexpr int kMostSessionDepth = 8;
// Of one field that is kept for the app.
constexpr std::size_t kMostAppBytes = 256;
constexpr std::string_view kPublicPath = "/api/v1/upload";
constexpr std::string_view kInternalPath = "/api/internal/upload";

// Fields that belong to the app and are kept with the image.
constexpr std::array kAppFields{"is_nsfw", "album_id"};

struct Wish {
    std::uint64_t bytes = 0;
    Order order;
};

// Nothing where it is none.
std::optional<Wish> read_wish(std::string_view body) {
    const auto is_shallow = [](int depth, Json::parse_event_t, Json&) {
        return depth <= kMostSessionDepth;
    };
    const Json json = Json::parse(body, is_shallow, false);
    if (!json.is_object()) return std::nullopt;
    const auto size = json.find("file_size");
    if (size == json.end() || !size->is_number_unsigned() || size->get<std::uint64_t>() == 0)
        return std::nullopt;
    Wish wish{.bytes = size->get<std::uint64_t>(), .order = {}};
    for (const char* const name : kAppFields) {
        const auto field = json.find(name);
        const bool is_short = field != json.end() && field->is_primitive() && !field->is_null() &&
                              field->dump().size() <= kMostAppBytes;
        if (is_short) wish.order.app[name] = *field;
    }
    const auto processing = json.find("processing");
    if (processing != json.end() && processing->is_object()) {
        const auto profile = processing->find("profile");
        wish.order.makes_variants = profile == processing->end() || *profile != "original_only";
    }
    return wish;
}

// What a pool has free; nothing where it cannot say.
std::optional<storage::PoolRoom> room_in(Intake& intake, const storage::KnownPool& pool) {
    const auto opened = intake.means().drivers->find(pool.id);
    const auto room = opened ? intake.room_of(*opened)
                             : Result<storage::PoolRoom>(std::unexpected(opened.error()));
    if (room) return *room;
    conf::log_warn("pool takes no uploads pool={} reason=\"{}\"", pool.settings.name,
                   room.error().text);
    return std::nullopt;
}

// Tokens of one owner for as many bytes, made within a second, would be the same, and so would
// their sessions: a later one lives a second longer.
Result<std::string> sign_unused(storage::Catalog& catalog, UploadToken& token,
                                std::string_view secret) {
    while (true) {
        std::string text = sign(token, secret);
        const auto is_known = catalog.has_session(conf::sha256(text));
        if (!is_known) return std::unexpected(is_known.error());
        if (!*is_known) return text;
        ++token.expires_s;
    }
}

}  // namespace

std::string upload_url_of(const conf::UploadSettings& settings, const conf::PoolSettings& pool) {
    const bool is_bucket = pool.storage_type == conf::PoolSettings::Type::s3;
    const std::string of_pool = pool.public_base_url.empty()
                                    ? std::string()
                                    : fmt::format("{}{}", pool.public_base_url, kPublicPath);
    // Of a bucket that may be a host which images come from and that takes nothing.
    if (!of_pool.empty() && !is_bucket) return of_pool;
    if (!pool.upload_api_url.empty()) {
        std::string url = pool.upload_api_url;
        const std::size_t internal = url.find(kInternalPath);
        if (internal != url.npos) url.replace(internal, kInternalPath.size(), kPublicPath);
        return url;
    }
    if (settings.public_base_url.empty()) return of_pool;
    return fmt::format("{}{}", settings.public_base_url, kPublicPath);
}

ApiAnswer open_session(Intake& intake, const storage::KeyRecord& key, std::string_view body,
                       std::int64_t now_s) {
    const UploadMeans& means = intake.means();
    const conf::UploadSettings& settings = means.settings.upload;
    if (settings.token_secret.empty()) {
        return api_error(503, "service_unavailable",
                         "uploads are switched off: upload.token_secret is not set");
    }
    const auto wish = read_wish(body);
    if (!wish)
        return api_error(400, "bad_request", R"(expected JSON {"file_size": BYTES}, above 0)");
    const api::KeyLimits limits = api::read_limits(key.limits);
    const std::uint64_t most = api::most_bytes(settings, limits);
    if (wish->bytes > most) {
        return api_error(413, "payload_too_large",
                         fmt::format("a file may have at most {} bytes", most));
    }
    const std::int64_t expires_s =
        now_s + std::chrono::duration_cast<std::chrono::seconds>(settings.session_lifetime).count();
    storage::UploadRecord wanted{.owner = key.owner,
                                 .bytes = wish->bytes,
                                 .details = text_of(wish->order),
                                 .expires_s = expires_s};
    // One after the other: a pool is asked only where none before it takes the file, and the token
    // names it.
    for (const storage::KnownPool& candidate :
         storage::pools_for_upload(means.drivers->pools(), settings.fallback)) {
        const auto room = room_in(intake, candidate);
        if (!room) continue;
        UploadToken token{.user = key.owner,
                          .pool = room->pool,
                          .max_bytes = wish->bytes,
                          .expires_s = expires_s};
        const auto text = sign_unused(*means.catalog, token, settings.token_secret.reveal());
        if (!text) return api_error(text.error());
        wanted.token = conf::sha256(*text);
        const auto reserved = means.catalog->reserve_upload(
            wanted, {&*room, 1},
            {.quota_bytes = limits.quota_bytes, .sessions = settings.sessions_per_owner}, now_s);
        if (!reserved) return api_error(reserved.error());
        using Outcome = storage::Reservation::Outcome;
        if (reserved->outcome == Outcome::over_quota) {
            return quota_exceeded(reserved->quota_left, wish->bytes);
        }
        if (reserved->outcome == Outcome::too_many) {
            return api_error(429, "too_many_requests",
                             fmt::format("{} sessions are open: use them, or wait for their end",
                                         settings.sessions_per_owner),
                             "Retry-After: 60\r\n");
        }
        if (reserved->outcome == Outcome::no_room) continue;
        const auto pool = means.drivers->find(room->pool);
        const std::string url =
            pool ? upload_url_of(settings, pool->known.settings) : std::string();
        if (url.empty()) {
            if (auto dropped = means.catalog->drop_upload(reserved->upload.id); !dropped)
                return api_error(dropped.error());
            return api_error(503, "pool_misconfigured",
                             "the pool has no upload_api_url: set it, or upload.public_base_url");
        }
        return {.status = 200,
                .body = api::text_of({{"upload_url", url},
                                      {"token", *text},
                                      {"pool_id", room->pool},
                                      {"expires_at", token.expires_s},
                                      {"max_bytes", wish->bytes}}),
                .fields = {}};
    }
    return api_error(500, "no_storage_pool", "no pool has room for the file");
}

}  // namespace tidepool::upload
