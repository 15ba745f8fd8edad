#include "storage/pending_removals.h"

#include "storage/job_payload.h"

#include <charconv>
#include <string>
#include <vector>

namespace tidepool::storage {

namespace {

void add(RemovalCount& to, std::uint64_t bytes) {
    ++to.count;
    to.bytes += bytes;
}

// Of "SIZE/TIME"; see Mover.
std::uint64_t size_in(const std::string& stamp) {
    std::uint64_t bytes = 0;
    std::from_chars(stamp.data(), stamp.data() + stamp.size(), bytes);
    return bytes;
}

Result<void> add_deletion(Catalog& catalog, const JobRecord& job,
                          std::map<PoolId, PendingRemovals>& into) {
    const auto image = parse_uuid(PayloadReader(job.payload).text("image").value_or(""));
    if (!image) return {};
    const auto rows = catalog.objects_of(*image);
    if (!rows) return std::unexpected(rows.error());
    for (const ObjectRecord& row : *rows)
        add(into[row.pool].deleted, row.size);
    return {};
}

void add_leftovers(const JobRecord& job, std::map<PoolId, PendingRemovals>& into) {
    const PayloadReader payload(job.payload);
    const auto pool = payload.number("pool");
    if (!pool) return;
    for (const std::string& stamp : payload.texts("stamps"))
        add(into[*pool].leftovers, size_in(stamp));
}

Result<void> add_jobs(Catalog& catalog, JobFilter filter, std::map<PoolId, PendingRemovals>& into) {
    while (true) {
        const auto page = catalog.list_jobs(filter, Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        for (const JobRecord& job : *page) {
            if (job.type == "clean") {
                add_leftovers(job, into);
            } else if (auto added = add_deletion(catalog, job, into); !added) {
                return added;
            }
        }
        if (page->size() < Catalog::kPage) return {};
        filter.after = page->back().id;
    }
}

}  // namespace

Result<std::map<PoolId, PendingRemovals>> pending_removals(Catalog& catalog) {
    using State = JobRecord::State;
    std::map<PoolId, PendingRemovals> pending;
    for (const State state : {State::queued, State::running, State::paused}) {
        for (const char* type : {"delete", "clean"}) {
            auto added = add_jobs(catalog, {.type = type, .state = state}, pending);
            if (!added) return std::unexpected(std::move(added.error()));
        }
    }
    // What failed is taken up again, and the bytes are there until then.
    auto failed = add_jobs(catalog, {.type = "delete", .state = State::failed}, pending);
    if (!failed) return std::unexpected(std::move(failed.error()));
    return pending;
}

Result<RemovalCount> hidden_versions(Driver& driver) {
    RemovalCount hidden;
    std::string next;
    while (true) {
        const auto page = driver.list_versions("", next);
        if (!page) return std::unexpected(page.error());
        for (const StoredVersion& version : page->versions)
            if (version.is_marker || !version.is_latest) add(hidden, version.size);
        if (page->next.empty()) return hidden;
        next = page->next;
    }
}

}  // namespace tidepool::storage
