#include "proxy/api/admin.h"

#include "conf/digest.h"
#include "proxy/api/jobs_api.h"
#include "proxy/api/pools_api.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tidepool::api {

namespace {

constexpr std::string_view kNoStore = "Cache-Control: no-store\r\n";
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kApiPath = "/api/";

http::Response answer(int status, std::string_view text, std::string_view type = kText) {
    http::Response response = http::text_response(status, type, text, kNoStore);
    response.source = http::Source::internal;
    return response;
}

http::Response answer(const ApiAnswer& made) {
    const std::string fields = fmt::format("{}{}", kNoStore, made.fields);
    http::Response response;
    if (made.status == 204) {
        response.status = 204;
        response.has_body = false;
        response.head = fmt::format("HTTP/1.1 {}\r\n{}", http::status_line_text(204), fields);
    } else {
        response = http::text_response(made.status, "application/json", made.body, fields);
    }
    response.source = http::Source::internal;
    return response;
}

bool is_path_below(std::string_view path, std::string_view folder) {
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

constexpr std::array kCollections{kPoolsPath, kImagesPath, kJobsPath};

bool is_api(std::string_view path) {
    return std::ranges::any_of(
        kCollections, [path](std::string_view folder) { return is_path_below(path, folder); });
}

}  // namespace

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
    const bool is_known = is_api(head.path) && is_authorized(head);
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
        if (is_api(head.path)) return std::nullopt;
        return answer(api_error(404, "not_found",
                                fmt::format("there are {}", fmt::join(kCollections, ", "))));
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
                                   fmt::join(kCollections, ", ")));
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
            co_await loop::offload(*sources_.loops.front(), site->workers, loop::Lane::quick,
                                   [&] { return site->pool.check(); });
        if (!checked) failed += fmt::format("pool {}: not readable\n", site->pool.name());
    }
    if (!failed.empty()) co_return answer(503, failed);
    co_return answer(200, "ready\n");
}

ApiAnswer AdminHandler::answer_api(const ApiCall& call) const {
    if (is_path_below(call.path, kPoolsPath)) return answer_pools(*api_.pools, call);
    if (api_.images.catalog == nullptr)
        return api_error(409, "conflict", "there is no catalog: set catalog.url and restart");
    if (is_path_below(call.path, kImagesPath)) return answer_images(api_.images, call);
    return answer_jobs(*api_.images.catalog, call);
}

loop::Task<http::Response> AdminHandler::respond_api(const http::RequestHead& head) {
    const auto call = [&]() -> Result<ApiAnswer> {
        ApiAnswer made = answer_api({head.method_text, head.path, head.query, head.body});
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

http::Response AdminHandler::refuse(http::Refusal refusal) {
    return answer(http::status_of(refusal), std::string(http::name(refusal)) + '\n');
}

}  // namespace tidepool::api
