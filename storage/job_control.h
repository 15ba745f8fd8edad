// What an operator does with jobs.
#pragma once

#include "storage/catalog.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tidepool::storage {

enum class JobAction : std::uint8_t { cancel, pause, resume, retry };

// Does it where the job's state allows it, else false: cancel and pause what is queued or runs,
// resume what is paused, cancel also a purge that failed, retry what failed, was cancelled, or
// waits after an attempt that failed. Who works on it stops before its next step; until then nobody
// else begins it. What a cancelled move had copied already is cleaned up by a job of its own.
Result<bool> act_on_job(Catalog& catalog, const JobRecord& job, JobAction action,
                        std::int64_t now_s);

// "queued", for people and programs; they do not change.
std::string_view name_of(JobRecord::State state);
std::optional<JobRecord::State> parse_job_state(std::string_view name);

}  // namespace tidepool::storage
