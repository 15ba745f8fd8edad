#include "proxy/api/admin.h"

#include "conf/ascii.h"
#include "conf/digest.h"
#include "proxy/api/jobs_api.h"
#include "proxy/api/keys_api.h"
#include "proxy/api/openapi.h"
#include "proxy/api/pool_stats.h"
#include "proxy/api/pools_api.h"
#include "proxy/api/purges_api.h"
#include "proxy/api/reconcile_api.h"
#include "proxy/api/routes.h"
#include "proxy/api/settings_api.h"
#include "proxy/api/sign_api.h"
#include "proxy/api/tiering_api.h"
#include "storage/job_owner.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

constexpr std::string_view kNoStore = "Cache-Control: no-store\r\n";
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kApiPath = "/api/";
// Who asks whether we are ready asks again soon.
constexpr std::uint64_t kReadyPatienceMs = 2000;

http::Response answer(int status, std::string_view text, std::string_view type = kText) {
    http::Response response = http::text_response(status, type, text, kNoStore);
    response.source = http::Source::internal;
    return response;
}

http::Response answer(const ApiAnswer& made) {
    return response_of(made, kNoStore);
}

bool is_path_below(std::string_view path, std::string_view folder) {
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

constexpr std::string_view kIdempotencyKey = "Idempotency-Key";

bool is_write(const http::RequestHead& head) {
    return head.method != http::Method::get && head.method != http::Method::head;
}

// The field as it was sent; nothing where it was not. Of one that came twice nobody knows what is
// meant, and it is none that may be.
std::optional<std::string_view> idempotency_key_of(const http::RequestHead& head) {
    const auto count = std::ranges::count_if(head.fields, [](const http::Field& field) {
        return conf::lower_case(field.name) == conf::lower_case(kIdempotencyKey);
    });
    if (count == 0) return std::nullopt;
    return head.single(kIdempotencyKey);
}

}  // namespace

AdminHandler::AdminHandler(MetricSources sources, ApiMeans api)
    : sources_(std::move(sources)), api_(std::move(api)), process_(storage::new_job_owner()) {
    if (api_.images.catalog != nullptr) saved_.emplace(*api_.images.catalog, api_.token);
}

// The digests are compared, so that the time it takes tells nothing of the token.
bool AdminHandler::is_authorized(const http::RequestHead& head) const {
    constexpr std::string_view kScheme = "bearer ";
    const std::string_view value = head.single("Authorization");
    if (value.size() < kScheme.size()) return false;
    for (std::size_t i = 0; i < kScheme.size(); ++i) {
        if ((value[i] | 0x20) != kScheme[i]) return false;
    }
    return !api_.token.empty() &&
           conf::sha256(value.substr(kScheme.size())) == conf::sha256(api_.token.reveal());
}

std::uint64_t AdminHandler::wanted_body(const http::RequestHead& head) const {
    const bool is_known = find_route(head.path) != nullptr && is_authorized(head);
    return is_known ? api_.request_body_bytes : 0;
}

std::optional<http::Response> AdminHandler::respond_now(const http::RequestHead& head,
                                                        const http::Peer&) {
    if (head.path.starts_with(kApiPath)) {
        if (api_.token.empty()) {
            return answer(
                api_error(403, "closed", "the admin API is closed: set admin.token and restart"));
        }
        if (!is_authorized(head)) {
            return answer(api_error(401, "unauthorized",
                                    "send Authorization: Bearer and the value of admin.token",
                                    "WWW-Authenticate: Bearer\r\n"));
        }
        const Route* const route = find_route(head.path);
        if (route == nullptr)
            return answer(api_error(404, "not_found", fmt::format("there are {}", route_names())));
        if (!has_method(*route, head.method_text))
            return answer(method_not_allowed(route->methods));
        const auto key = idempotency_key_of(head);
        if (is_write(head) && key && !is_idempotency_key(*key)) {
            return answer(api_error(400, "bad_request",
                                    fmt::format("Idempotency-Key: expected it once, of 1 to {} "
                                                "visible ASCII characters",
                                                kMostIdempotencyKeyBytes)));
        }
        if (head.path == kOpenApiPath)
            return answer(
                ApiAnswer{.status = 200, .body = std::string(openapi_document()), .fields = {}});
        return std::nullopt;
    }
    if (head.method != http::Method::get && head.method != http::Method::head) {
        return http::text_response(405, kText, "method not allowed\n",
                                   fmt::format("{}Allow: GET, HEAD\r\n", kNoStore));
    }
    if (head.path == "/healthz") return answer(200, "ok\n");
    if (head.path == "/readyz") {
        if (draining_) return answer(503, "draining\n");
        return std::nullopt;
    }
    if (head.path == "/metrics") {
        return answer(200, gather_metrics(sources_), "text/plain; version=0.0.4; charset=utf-8");
    }
    return answer(404, fmt::format("not found; there are /metrics, /healthz, /readyz and {}\n",
                                   kOpenApiPath));
}

loop::Task<http::Response> AdminHandler::respond(const http::RequestHead& head, const http::Peer&) {
    if (head.path == "/readyz") return respond_ready();
    return respond_api(head);
}

// Ready: every local pool's base path answers.
loop::Task<http::Response> AdminHandler::respond_ready() {
    std::string failed;
    const auto sites = sources_.finder->sites();
    for (serve::FileFinder::Site* const site : *sites) {
        const auto checked =
            co_await loop::offload_within(*sources_.loops.front(), site->workers, loop::Lane::quick,
                                          kReadyPatienceMs, [site] { return site->pool.check(); });
        if (!checked) {
            const bool is_silent = checked.error().kind == ErrorKind::timed_out;
            failed += fmt::format("pool {}: {}\n", site->pool.name(),
                                  is_silent ? "does not answer" : "not readable");
        }
    }
    if (!failed.empty()) co_return answer(503, failed);
    co_return answer(200, "ready\n");
}

ApiAnswer AdminHandler::answer_api(const ApiCall& call) const {
    if (call.path == kSettingsPath && call.method != "PATCH")
        return show_settings(api_.settings(), call);
    if (call.path == kSignPath) return answer_sign(api_.settings().settings.private_images, call);
    if (is_path_below(call.path, kPoolsPath)) return answer_pools(*api_.pools, call);
    if (api_.images.catalog == nullptr)
        return api_error(409, "conflict", "there is no catalog: set catalog.url and restart");
    storage::Catalog& catalog = *api_.images.catalog;
    if (call.path == kSettingsPath) {
        return change_settings({.registry = api_.changeable,
                                .in_force = api_.settings,
                                .changed = api_.settings_changed},
                               call);
    }
    if (is_path_below(call.path, kImagesPath)) return answer_images(api_.images, call);
    if (is_path_below(call.path, kKeysPath)) return answer_keys(catalog, call);
    if (is_path_below(call.path, kStatsPath))
        return answer_stats(catalog, api_.drivers->pools(), call);
    if (is_path_below(call.path, kTieringPath)) {
        return answer_tiering({.catalog = &catalog,
                               .drivers = api_.drivers,
                               .settings = [this] { return api_.settings().settings.tiering; },
                               .process = process_,
                               .queued = api_.images.queued},
                              call);
    }
    if (is_path_below(call.path, kReconcilePath)) {
        return answer_reconcile(
            {.catalog = &catalog, .drivers = api_.drivers, .queued = api_.images.queued}, call);
    }
    if (is_path_below(call.path, kPurgesPath)) {
        return answer_purges(
            {.catalog = &catalog, .has_zone = api_.has_zone, .queued = api_.images.queued}, call);
    }
    return answer_jobs(catalog, call);
}

ApiAnswer AdminHandler::answer_once(std::string_view key, const ApiCall& call) {
    if (!saved_) return answer_api(call);
    bool changed = false;
    ApiAnswer made = saved_->once(key, call, [&] {
        ApiAnswer first = answer_api(call);
        changed = first.changed;
        return first;
    });
    made.changed = changed;
    return made;
}

loop::Task<http::Response> AdminHandler::respond_api(const http::RequestHead& head) {
    const auto call = [&]() -> Result<ApiAnswer> {
        const ApiCall asked{head.method_text, head.path, head.query, head.body};
        const auto key = is_write(head) ? idempotency_key_of(head) : std::nullopt;
        ApiAnswer made = key ? answer_once(*key, asked) : answer_api(asked);
        if (made.changed) api_.pools_changed();
        return made;
    };
    serve::Stores& stores = sources_.finder->stores();
    if (stores.catalog() == nullptr) co_return answer(*call());  // says so, without waiting
    const auto made = co_await loop::offload(*sources_.loops.front(), stores.catalog_workers(),
                                             loop::Lane::bulk, call);
    if (made) co_return answer(*made);
    co_return answer(
        api_error(503, "overloaded", "too many calls of the catalog wait", "Retry-After: 1\r\n"));
}

http::Response AdminHandler::refuse(http::Refusal refusal, const http::RequestHead* head) {
    if (head != nullptr && head->path.starts_with(kApiPath))
        return answer(refused_request(refusal));
    return answer(http::status_of(refusal), std::string(http::name(refusal)) + '\n');
}

}  // namespace tidepool::api
