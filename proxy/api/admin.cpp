#include "proxy/api/admin.h"

#include <string>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

constexpr std::string_view kNoStore = "Cache-Control: no-store\r\n";
constexpr std::string_view kText = "text/plain; charset=utf-8";

http::Response answer(int status, std::string_view text, std::string_view type = kText) {
    http::Response response = http::text_response(status, type, text, kNoStore);
    response.source = http::Source::internal;
    return response;
}

}  // namespace

std::optional<http::Response> AdminHandler::respond_now(const http::RequestHead& head,
                                                        const http::Peer&) {
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
    return answer(404, "not found; there are /metrics, /healthz and /readyz\n");
}

// /readyz. Ready: every pool's base path answers.
loop::Task<http::Response> AdminHandler::respond(const http::RequestHead&, const http::Peer&) {
    std::string failed;
    for (const auto& pool : sources_.finder->pools()) {
        auto& workers = sources_.finder->workers_of(pool.index);
        const auto checked = co_await loop::offload(
            *sources_.loops.front(), workers, loop::Lane::quick, [&] { return pool.pool.check(); });
        if (!checked) failed += fmt::format("pool {}: not readable\n", pool.pool.name());
    }
    if (!failed.empty()) co_return answer(503, failed);
    co_return answer(200, "ready\n");
}

http::Response AdminHandler::refuse(http::Refusal refusal) {
    return answer(http::status_of(refusal), std::string(http::name(refusal)) + '\n');
}

}  // namespace tidepool::api
