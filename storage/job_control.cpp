#include "storage/job_control.h"

#include "storage/mover.h"

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

Result<void> clean_up_after(Catalog& catalog, const JobRecord& job, std::int64_t now_s) {
    const auto target = target_of(job);
    if (!target) return {};  // it cannot have moved anything
    const auto objects = rows_of(catalog, *target);
    if (!objects) return std::unexpected(objects.error());
    if (objects->empty()) return {};
    const auto queued = catalog.queue_job(clean_after_failed_move(*target, *objects, now_s), now_s);
    if (!queued) return std::unexpected(queued.error());
    return {};
}

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
    const auto cancelled = catalog.set_job_state(job.id, State::cancelled, now_s);
    if (!cancelled || !*cancelled || job.type != "move" || job.attempts == 0) return cancelled;
    if (auto cleaned = clean_up_after(catalog, job, now_s); !cleaned)
        return std::unexpected(std::move(cleaned.error()));
    return true;
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
