#include "proxy/api/jobs_api.h"

#include "proxy/api/job_json.h"
#include "proxy/api/query_fields.h"
#include "storage/job_control.h"

#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

using storage::JobAction;

constexpr std::string_view kJobsCursor = "jobs";

ApiAnswer list(storage::Catalog& catalog, const ApiCall& call) {
    if (call.method != "GET" && call.method != "HEAD") return method_not_allowed("GET, HEAD");
    if (auto wrong = check_fields(call.query, {"state", "type", "batch", "cursor", "limit"}))
        return std::move(*wrong);
    storage::JobFilter filter{.type = query_value(call.query, "type"),
                              .batch = query_value(call.query, "batch")};
    if (const std::string state = query_value(call.query, "state"); !state.empty()) {
        filter.state = storage::parse_job_state(state);
        if (!filter.state)
            return bad_field("state", "there are queued, running, done, failed, cancelled, paused");
    }
    const auto limit = read_page_limit(call.query);
    if (!limit) return limit.error();
    const auto cursor = read_cursor(call.query, kJobsCursor);
    if (!cursor) return cursor.error();
    if (*cursor) {
        const auto after = read_number(**cursor);
        if (!after) return bad_field("cursor", "it is none of jobs");
        filter.after = *after;
    }
    // One more than asked for says whether there is another page.
    auto jobs = catalog.list_jobs(filter, *limit + 1);
    if (!jobs) return api_error(jobs.error());
    const bool is_last = jobs->size() <= *limit;
    if (!is_last) jobs->pop_back();
    Json all = Json::array();
    for (const storage::JobRecord& job : *jobs)
        all.push_back(job_json(job));
    const Json next =
        is_last ? Json(nullptr) : Json(cursor_of(kJobsCursor, std::to_string(jobs->back().id)));
    return {
        .status = 200, .body = text_of({{"jobs", std::move(all)}, {"next", next}}), .fields = {}};
}

std::optional<JobAction> parse_action(std::string_view name) {
    if (name == "cancel") return JobAction::cancel;
    if (name == "pause") return JobAction::pause;
    if (name == "resume") return JobAction::resume;
    if (name == "retry") return JobAction::retry;
    return std::nullopt;
}

ApiAnswer show(storage::Catalog& catalog, storage::JobId id) {
    const auto job = catalog.find_job(id);
    if (!job) return api_error(job.error());
    if (!*job) return api_error(404, "not_found", fmt::format("there is no job {}", id));
    return {.status = 200, .body = text_of(job_json(**job)), .fields = {}};
}

ApiAnswer act(storage::Catalog& catalog, storage::JobId id, JobAction action) {
    const auto job = catalog.find_job(id);
    if (!job) return api_error(job.error());
    if (!*job) return api_error(404, "not_found", fmt::format("there is no job {}", id));
    const auto acted = storage::act_on_job(catalog, **job, action, std::time(nullptr));
    if (!acted) return api_error(acted.error());
    if (!*acted && (*job)->type == "delete" && action == JobAction::cancel)
        return api_error(409, "conflict", "what is being deleted does not come back");
    if (!*acted) {
        return api_error(409, "conflict",
                         fmt::format("job {} is {}", id, storage::name_of((*job)->state)));
    }
    return show(catalog, id);
}

}  // namespace

ApiAnswer answer_jobs(storage::Catalog& catalog, const ApiCall& call) {
    std::string_view rest = call.path.substr(kJobsPath.size());
    if (rest.empty()) return list(catalog, call);
    rest.remove_prefix(1);
    const std::string_view name = rest.substr(0, rest.find('/'));
    const auto id = read_number(name);
    if (id && name.size() == rest.size()) {
        if (call.method != "GET" && call.method != "HEAD") return method_not_allowed("GET, HEAD");
        return show(catalog, *id);
    }
    const auto action = id ? parse_action(rest.substr(name.size() + 1)) : std::nullopt;
    if (!action) {
        return api_error(
            404, "not_found",
            fmt::format("there are {0}, {0}/ID and {0}/ID/cancel, pause, resume, retry",
                        kJobsPath));
    }
    if (call.method != "POST") return method_not_allowed("POST");
    return act(catalog, *id, *action);
}

}  // namespace tidepool::api
