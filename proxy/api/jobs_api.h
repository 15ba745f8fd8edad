// /api/admin/v1/jobs: what is done in the background.
#pragma once

#include "proxy/api/api_answer.h"
#include "storage/catalog.h"

#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kJobsPath = "/api/admin/v1/jobs";

// GET lists, by state, type and batch, a page at a time (`cursor` is the `next` of the page
// before); below a job's id GET shows it, and POST to its cancel, pause, resume or retry does that.
// Blocks on the catalog; any thread.
ApiAnswer answer_jobs(storage::Catalog& catalog, const ApiCall& call);

}  // namespace tidepool::api
