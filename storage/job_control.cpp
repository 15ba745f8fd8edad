#include "storage/job_control.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidepool::storage {

namespace {

using State = JobRecord::State;

constexpr std::array<std::pair<State, std::string_view>, 6> kNames{{{State::queued, "queued"},
                                                                    {State::running, "running"},
                                                                    {State::done, "done"},
                                                                    {State::failed, "failed"},
                                                                    {State::cancelled, "cancelled"},
                                                                    {State::paused, "paused"}}};

}  // namespace

Result<bool> act_on_job(Catalog& catalog, const JobRecord& job, JobAction action,
                        std::int64_t now_s) {
    switch (action) {
        case JobAction::pause:
            return catalog.set_job_state(job.id, State::paused, now_s);
        case JobAction::resume:
            if (job.state != State::paused) return false;
            return catalog.set_job_state(job.id, State::queued, now_s);
        case JobAction::retry:
            if (job.state == State::paused) return false;
            return catalog.set_job_state(job.id, State::queued, now_s);
        case JobAction::cancel:
            break;
    }
    return catalog.set_job_state(job.id, State::cancelled, now_s);
}

std::string_view name_of(State state) {
    const auto found =
        std::ranges::find(kNames, state, [](const auto& each) { return each.first; });
    return found == kNames.end() ? "unknown" : found->second;
}

std::optional<State> parse_job_state(std::string_view name) {
    const auto found =
        std::ranges::find(kNames, name, [](const auto& each) { return each.second; });
    if (found == kNames.end()) return std::nullopt;
    return found->first;
}

}  // namespace tidepool::storage
