// The server's numbers in Prometheus' text form.
#pragma once

#include "proxy/api/upload_counters.h"
#include "proxy/http/counters.h"
#include "proxy/loop/loop.h"
#include "proxy/serve/access_log.h"
#include "proxy/serve/file_finder.h"
#include "proxy/serve/job_work.h"
#include "proxy/serve/lock_keeper.h"
#include "proxy/serve/private_access.h"
#include "proxy/serve/request_guard.h"
#include "proxy/serve/tier_work.h"
#include "proxy/serve/variant_maker.h"
#include "proxy/serve/view_counter.h"

#include <string>
#include <vector>

namespace tidepool::api {

// Where the numbers come from; everything outlives whoever holds this. Reading them is safe from
// any thread.
struct MetricSources {
    std::vector<const http::Counters*> counters;                // one per loop
    std::vector<const serve::LockCounters*> locks;              // the same
    std::vector<const serve::PrivateCounters*> private_images;  // the same
    std::vector<loop::Loop*> loops;
    serve::FileFinder* finder = nullptr;
    const serve::GuardMemory* guard = nullptr;
    const serve::AccessLog* access_log = nullptr;   // may be null
    const serve::VariantMaker* variants = nullptr;  // may be null
    const serve::ViewCounter* views = nullptr;      // may be null
    const serve::JobWork* jobs = nullptr;           // may be null
    const serve::TierWork* tiering = nullptr;       // may be null
    const UploadCounters* uploads = nullptr;        // may be null
    std::string version;
};

// One scrape. Also asks each loop for its worst lag since the last scrape, so there should be one
// scraper.
std::string gather_metrics(const MetricSources& sources);

}  // namespace tidepool::api
