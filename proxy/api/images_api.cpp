#include "proxy/api/images_api.h"

#include "conf/digest.h"
#include "conf/quote.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/job_json.h"
#include "proxy/api/query_fields.h"
#include "storage/image_remover.h"
#include "storage/mover.h"

#include <algorithm>
#include <ctime>
#include <expected>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

using storage::Uuid;

constexpr int kMovePriority = 100;
constexpr int kBodyDepth = 4;
constexpr std::string_view kImagesCursor = "images";
constexpr std::string_view kPrivate = "private";
constexpr std::string_view kPublic = "public";

std::string_view name_of(storage::ImageRecord::State state) {
    switch (state) {
        case storage::ImageRecord::State::incomplete:
            return "incomplete";
        case storage::ImageRecord::State::complete:
            return "complete";
        case storage::ImageRecord::State::deleting:
            return "deleting";
        case storage::ImageRecord::State::failed:
            return "failed";
    }
    return "unknown";
}

std::optional<storage::ImageRecord::State> parse_image_state(std::string_view name) {
    using State = storage::ImageRecord::State;
    for (const State state : {State::incomplete, State::complete, State::deleting, State::failed}) {
        if (name_of(state) == name) return state;
    }
    return std::nullopt;
}

using PoolNames = std::map<storage::PoolId, std::string>;

Result<PoolNames> pool_names(storage::Catalog& catalog) {
    const auto pools = catalog.pools();
    if (!pools) return std::unexpected(pools.error());
    PoolNames names;
    for (const storage::PoolRecord& pool : *pools)
        names[pool.id] = pool.name;
    return names;
}

ApiAnswer no_image(const Uuid& image) {
    return api_error(404, "not_found",
                     fmt::format("the catalog knows no image {}", storage::to_text(image)));
}

ApiAnswer queued_answer(storage::JobId job) {
    return {.status = 202,
            .body = text_of({{"job", job}}),
            .fields = fmt::format("Location: /api/admin/v1/jobs/{}\r\n", job)};
}

Json name_or_null(const PoolNames& names, storage::PoolId pool) {
    const auto found = names.find(pool);
    return found == names.end() ? Json(nullptr) : Json(found->second);
}

Json image_json(const storage::ImageRecord& image, const PoolNames& names) {
    return {{"uuid", storage::to_text(image.uuid)},
            {"state", name_of(image.state)},
            {"pool", name_or_null(names, image.pool)},
            {"original", image.original},
            {"owner", image.owner.empty() ? Json(nullptr) : Json(image.owner)},
            {"visibility", image.is_private ? kPrivate : kPublic},
            {"uploaded", image.uploaded_s},
            {"moved", image.moved_s}};
}

std::expected<storage::ImageFilter, ApiAnswer> read_image_filter(std::string_view query,
                                                                 const PoolNames& names) {
    storage::ImageFilter filter{.owner = query_value(query, "owner"),
                                .prefix = query_value(query, "prefix")};
    if (const std::string name = query_value(query, "pool"); !name.empty()) {
        const auto pool =
            std::ranges::find(names, name, [](const auto& each) { return each.second; });
        if (pool == names.end()) {
            return std::unexpected(
                bad_field("pool", fmt::format("there is no pool {}", conf::quote(name))));
        }
        filter.pool = pool->first;
    }
    if (const std::string name = query_value(query, "state"); !name.empty()) {
        filter.state = parse_image_state(name);
        if (!filter.state) {
            return std::unexpected(
                bad_field("state", "there are incomplete, complete, deleting, failed"));
        }
    }
    const auto cursor = read_cursor(query, kImagesCursor);
    if (!cursor) return std::unexpected(cursor.error());
    if (*cursor) {
        filter.after = storage::parse_uuid(**cursor);
        if (!filter.after) return std::unexpected(bad_field("cursor", "it is none of images"));
    }
    return filter;
}

ApiAnswer list_of_images(storage::Catalog& catalog, std::string_view query) {
    if (auto wrong = check_fields(query, {"limit", "cursor", "pool", "state", "owner", "prefix"}))
        return std::move(*wrong);
    const auto limit = read_page_limit(query);
    if (!limit) return limit.error();
    const auto names = pool_names(catalog);
    if (!names) return api_error(names.error());
    const auto filter = read_image_filter(query, *names);
    if (!filter) return filter.error();
    const auto page = catalog.list_images(*filter, *limit);
    if (!page) return api_error(page.error());
    Json images = Json::array();
    for (const storage::ImageRecord& image : page->images)
        images.push_back(image_json(image, *names));
    const Json next =
        page->next ? Json(cursor_of(kImagesCursor, storage::to_text(*page->next))) : Json(nullptr);
    return {.status = 200,
            .body = text_of({{"images", std::move(images)}, {"next", next}}),
            .fields = {}};
}

ApiAnswer show(storage::Catalog& catalog, const Uuid& uuid) {
    const auto image = catalog.find_image(uuid);
    if (!image) return api_error(image.error());
    if (!*image) return no_image(uuid);
    const auto names = pool_names(catalog);
    if (!names) return api_error(names.error());
    const auto rows = catalog.objects_of(uuid);
    if (!rows) return api_error(rows.error());
    const auto views = catalog.find_views(uuid);
    if (!views) return api_error(views.error());
    Json objects = Json::array();
    for (const storage::ObjectRecord& row : *rows) {
        objects.push_back({{"key", row.key},
                           {"pool", name_or_null(*names, row.pool)},
                           {"role", storage::name_of(row.role)},
                           {"size", row.size},
                           {"sha256", row.sha256 ? Json(conf::hex(*row.sha256)) : Json(nullptr)},
                           {"content_type", row.content_type}});
    }
    Json json = image_json(**image, *names);
    json["last_view"] = *views ? Json((*views)->last_s) : Json(nullptr);
    json["metadata"] = json_or_text((*image)->metadata);
    json["objects"] = std::move(objects);
    return {.status = 200, .body = text_of(json), .fields = {}};
}

ApiAnswer change(const ImageMeans& means, const Uuid& uuid, std::string_view body) {
    auto fields = BodyFields::parse(body);
    if (!fields) return std::move(fields.error());
    const auto visibility = fields->text("visibility");
    if (visibility != kPrivate && visibility != kPublic)
        fields->complain("visibility", "there are public and private");
    if (auto wrong = fields->problems()) return std::move(*wrong);
    const bool is_private = visibility == kPrivate;
    if (is_private && means.can_sign && !means.can_sign()) {
        return api_error(409, "conflict",
                         "nobody could see it: set private.signing_key and reload (SIGHUP)");
    }
    const auto changed = means.catalog->set_private(uuid, is_private);
    if (!changed) return api_error(changed.error());
    if (!*changed) return no_image(uuid);
    if (means.visibility_changed) means.visibility_changed(uuid);
    if (means.queued) means.queued();
    return show(*means.catalog, uuid);
}

ApiAnswer remove(const ImageMeans& means, const Uuid& uuid) {
    const auto rows = means.catalog->objects_of(uuid);
    if (!rows) return api_error(rows.error());
    const auto job = storage::delete_image(*means.catalog, uuid, "", std::time(nullptr));
    if (!job) return api_error(job.error());
    std::vector<std::string> keys;
    for (const storage::ObjectRecord& row : *rows)
        keys.push_back(row.key);
    if (means.deleted) means.deleted(keys);
    if (means.queued) means.queued();
    return queued_answer(*job);
}

ApiAnswer move(const ImageMeans& means, const Uuid& uuid, std::string_view body) {
    const auto is_shallow = [](int depth, Json::parse_event_t, Json&) {
        return depth <= kBodyDepth;
    };
    const Json fields = Json::parse(body, is_shallow, false);
    const bool names_pool = fields.is_object() && fields.size() == 1 && fields.contains("to") &&
                            fields["to"].is_string();
    if (!names_pool) return api_error(400, "bad_request", R"(expected {"to": "POOL"})");
    const auto names = pool_names(*means.catalog);
    if (!names) return api_error(names.error());
    const auto to = std::ranges::find(*names, fields["to"].get<std::string>(),
                                      [](const auto& each) { return each.second; });
    if (to == names->end()) return api_error(404, "not_found", "there is no pool of that name");
    const auto image = means.catalog->find_image(uuid);
    if (!image) return api_error(image.error());
    if (!*image) return no_image(uuid);
    const storage::MoveTarget target{.image = uuid, .key = {}, .to = to->first};
    const auto job = means.catalog->queue_job(
        storage::move_job(target, (*image)->pool, kMovePriority, ""), std::time(nullptr));
    if (!job) return api_error(job.error());
    const auto open = means.catalog->find_job(*job);
    if (!open) return api_error(open.error());
    const auto known = *open ? storage::target_of(**open) : Result<storage::MoveTarget>(target);
    if (known && known->to != target.to) {
        return api_error(409, "conflict",
                         fmt::format("job {} moves it to another pool; cancel that first", *job));
    }
    if (means.queued) means.queued();
    return queued_answer(*job);
}

}  // namespace

ApiAnswer answer_images(const ImageMeans& means, const ApiCall& call) {
    std::string_view rest = call.path.substr(kImagesPath.size());
    if (rest.empty()) {
        if (call.method != "GET" && call.method != "HEAD") return method_not_allowed("GET, HEAD");
        return list_of_images(*means.catalog, call.query);
    }
    rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    const auto uuid = storage::parse_uuid(name);
    const std::string_view action = rest.substr(std::min(name.size() + 1, rest.size()));
    if (uuid && name.size() == rest.size()) {
        if (call.method == "GET" || call.method == "HEAD") return show(*means.catalog, *uuid);
        if (call.method == "PATCH") return change(means, *uuid, call.body);
        if (call.method == "DELETE") return remove(means, *uuid);
        return method_not_allowed("GET, HEAD, PATCH, DELETE");
    }
    if (uuid && action == "move") {
        if (call.method != "POST") return method_not_allowed("POST");
        return move(means, *uuid, call.body);
    }
    return api_error(404, "not_found",
                     fmt::format("there are {0}, {0}/UUID and {0}/UUID/move", kImagesPath));
}

}  // namespace tidepool::api
