#include "proxy/api/jobs_api.h"

#include "proxy/api/job_json.h"
#include "storage/job_control.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <string>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

using storage::JobAction;

constexpr std::int64_t kPage = 100;
constexpr std::int64_t kMostOnPage = 1000;

std::optional<std::int64_t> read_number(std::string_view text) {
    std::int64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() ||
        number < 0)
        return std::nullopt;
    return number;
}

ApiAnswer list(storage::Catalog& catalog, const ApiCall& call) {
    if (call.method != "GET" && call.method != "HEAD") return method_not_allowed("GET, HEAD");
    storage::JobFilter filter{.type = query_value(call.query, "type"),
                              .batch = query_value(call.query, "batch")};
    if (const std::string state = query_value(call.query, "state"); !state.empty()) {
        filter.state = storage::parse_job_state(state);
        if (!filter.state)
            return api_error(400, "bad_request",
                             "state: there are queued, running, done, failed, cancelled, paused");
    }
    std::int64_t limit = kPage;
    for (auto [name, into] : {std::pair{"after", &filter.after}, std::pair{"limit", &limit}}) {
        const std::string text = query_value(call.query, name);
        if (text.empty()) continue;
        const auto number = read_number(text);
        if (!number)
            return api_error(400, "bad_request", fmt::format("{}: expected a whole number", name));
        *into = *number;
    }
    limit = std::clamp<std::int64_t>(limit, 1, kMostOnPage);
    const auto jobs = catalog.list_jobs(filter, static_cast<std::size_t>(limit));
    if (!jobs) return api_error(jobs.error());
    Json all = Json::array();
    for (const storage::JobRecord& job : *jobs)
        all.push_back(job_json(job));
    const bool is_last = jobs->size() < static_cast<std::size_t>(limit);
    return {.status = 200,
            .body = text_of({{"jobs", std::move(all)},
                             {"next", is_last ? Json(nullptr) : Json(jobs->back().id)}}),
            .fields = {}};
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
