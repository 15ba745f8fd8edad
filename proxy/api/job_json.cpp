#include "proxy/api/job_json.h"

#include "storage/job_control.h"

namespace tidepool::api {

namespace {

Json time_or_null(std::int64_t time_s) {
    return time_s == 0 ? Json(nullptr) : Json(time_s);
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

Json json_or_text(const std::string& text) {
    if (text.empty()) return nullptr;
    Json parsed = Json::parse(text, nullptr, false);
    return parsed.is_discarded() ? Json(text) : parsed;
}

Json job_json(const storage::JobRecord& job) {
    const bool waits = job.state == storage::JobRecord::State::queued;
    return {{"id", job.id},
            {"type", job.type},
            {"state", storage::name_of(job.state)},
            {"payload", json_or_text(job.payload)},
            {"progress", json_or_text(job.progress)},
            {"priority", job.priority},
            {"attempts", job.attempts},
            {"created", time_or_null(job.created_s)},
            {"next_run", waits ? Json(job.next_run_s) : Json(nullptr)},
            {"finished", time_or_null(job.finished_s)},
            {"lease_until", time_or_null(job.lease_until_s)},
            {"error_class", text_or_null(job.error_class)},
            {"error", text_or_null(job.error_text)},
            {"lane", job.lane},
            {"batch", text_or_null(job.batch)}};
}

}  // namespace tidepool::api
