#include "proxy/api/pools_api.h"

#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

// What lies deeper than a pool's fields ever are is left out.
constexpr int kDepth = 8;

ApiAnswer answer_refusal(const PoolRefusal& refusal) {
    Json json{{"error", refusal.code}, {"message", refusal.message}};
    for (const FieldProblem& problem : refusal.problems)
        json["details"].push_back({{"field", problem.field}, {"message", problem.message}});
    return {.status = refusal.status, .body = text_of(json), .fields = {}};
}

ApiAnswer answer_json(int status, const PoolResult<Json>& json) {
    if (!json) return answer_refusal(json.error());
    return {.status = status, .body = text_of(*json), .fields = {}};
}

PoolResult<Json> parse(std::string_view body) {
    const auto is_shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= kDepth; };
    Json json = Json::parse(body, is_shallow, false);
    if (json.is_discarded()) {
        return std::unexpected(PoolRefusal{400, "bad_request", "the body is not JSON", {}});
    }
    return json;
}

// After a change: what is there now.
ApiAnswer shown_anew(PoolRegistry& registry, int status,
                     const PoolResult<storage::KnownPool>& pool) {
    if (!pool) return answer_refusal(pool.error());
    ApiAnswer answer = answer_json(status, registry.show(pool->settings.name));
    answer.changed = true;
    return answer;
}

ApiAnswer answer_collection(PoolRegistry& registry, std::string_view method,
                            std::string_view body) {
    if (method == "GET" || method == "HEAD") {
        auto all = registry.show_all();
        if (!all) return answer_refusal(all.error());
        return answer_json(200, Json{{"pools", std::move(*all)}});
    }
    if (method != "POST") return method_not_allowed("GET, HEAD, POST");
    const auto fields = parse(body);
    if (!fields) return answer_refusal(fields.error());
    const auto created = registry.create(*fields);
    ApiAnswer answer = shown_anew(registry, 201, created);
    if (created)
        answer.fields = fmt::format("Location: {}/{}\r\n", kPoolsPath, created->settings.name);
    return answer;
}

ApiAnswer answer_one(PoolRegistry& registry, std::string_view method, std::string_view name,
                     std::string_view body) {
    if (method == "GET" || method == "HEAD") return answer_json(200, registry.show(name));
    if (method == "PATCH") {
        const auto fields = parse(body);
        if (!fields) return answer_refusal(fields.error());
        return shown_anew(registry, 200, registry.change(name, *fields));
    }
    if (method != "DELETE") return method_not_allowed("GET, HEAD, PATCH, DELETE");
    const auto removed = registry.remove(name);
    if (!removed) return answer_refusal(removed.error());
    return {.status = 204, .body = {}, .fields = {}, .changed = true};
}

}  // namespace

ApiAnswer answer_pools(PoolRegistry& registry, const ApiCall& call) {
    const std::string_view rest = call.path.substr(kPoolsPath.size());
    if (rest.empty()) return answer_collection(registry, call.method, call.body);
    if (rest.size() > 1 && rest.find('/', 1) == rest.npos)
        return answer_one(registry, call.method, rest.substr(1), call.body);
    return api_error(404, "not_found",
                     fmt::format("there are {} and {}/NAME", kPoolsPath, kPoolsPath));
}

}  // namespace tidepool::api
