#include "storage/reconcile_pool_job.h"

#include "conf/log.h"
#include "storage/finding.h"
#include "storage/job_payload.h"

#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr const char* kPoolReconcileType = "reconcile-pool";
constexpr int kPoolReconcilePriority = 200;  // what moves images goes before
constexpr std::int64_t kResultLeaseS = 300;  // as JobRunner's, until the job is ended

std::int64_t signed_of(std::uint64_t count) {
    return static_cast<std::int64_t>(count);
}

std::string progress_of(const ReconcileCounts& counts, const ReconcileResult* result) {
    PayloadWriter findings;
    for (const FindingKind kind : kAllFindings) {
        const FindingCounts& of_kind = counts.of(kind);
        if (of_kind.found == 0) continue;
        PayloadWriter one;
        one.add("found", signed_of(of_kind.found))
            .add("bytes", signed_of(of_kind.bytes))
            .add("repaired", signed_of(of_kind.repaired));
        findings.add(std::string(name_of(kind)).c_str(), one);
    }
    PayloadWriter progress;
    progress.add("compared", signed_of(counts.compared))
        .add("bytes", signed_of(counts.bytes))
        .add("found", signed_of(counts.found()))
        .add("repaired", signed_of(counts.repaired()))
        .add("findings", findings)
        .add("pending", signed_of(counts.pending))
        .add("young", signed_of(counts.young))
        .add("left_out", signed_of(counts.left_out))
        .add("unreadable", signed_of(counts.unreadable));
    if (result != nullptr) {
        progress.add("left_over", signed_of(result->left_over))
            .add_flag("too_much", result->is_too_much)
            .add_flag("all_well", result->all_well());
    }
    return progress.text();
}

}  // namespace

NewJob pool_reconcile_job(const PoolReconcileWish& wish, std::string_view pool_name,
                          std::string_view batch) {
    PayloadWriter payload;
    payload.add("pool", pool_name)
        .add("pool_id", wish.pool)
        .add_flag("repair", wish.repair)
        .add_flag("deep", wish.deep);
    if (wish.max_change_percent) payload.add("max_change", std::int64_t{*wish.max_change_percent});
    return {.type = kPoolReconcileType,
            .payload = payload.text(),
            .dedup_key = fmt::format("{} {}", kPoolReconcileType, wish.pool),
            .priority = kPoolReconcilePriority,
            .lane = fmt::format("{} {}", kPoolReconcileType, wish.pool),
            .batch = std::string(batch)};
}

Result<PoolReconcileWish> pool_reconcile_wish(const JobRecord& job) {
    const PayloadReader payload(job.payload);
    const auto pool = payload.number("pool_id");
    if (!pool) {
        return fail(ErrorKind::invalid,
                    fmt::format("job {} does not say which pool it is to look at", job.id));
    }
    PoolReconcileWish wish{.pool = *pool,
                           .repair = payload.flag("repair").value_or(false),
                           .deep = payload.flag("deep").value_or(false)};
    if (const auto most = payload.number("max_change"); most && *most >= 0 && *most <= 100)
        wish.max_change_percent = static_cast<unsigned>(*most);
    return wish;
}

JobEnd PoolReconcileJobs::reconcile(JobRun& run) {
    const auto wish = pool_reconcile_wish(run.job());
    if (!wish) return JobEnd::failed(wish.error());
    ReconcileOptions options = options_;
    options.repair = wish->repair;
    options.deep = wish->deep;
    options.now_s = std::time(nullptr);
    if (wish->max_change_percent) options.max_change_percent = *wish->max_change_percent;
    options.report = [&](const ReconcileCounts& counts) {
        run.note(progress_of(counts, nullptr));
        drivers_.exchange_budgets();
        return run.goes_on();
    };
    const auto result = reconcile_pool(catalog_, drivers_, wish->pool, options);
    if (!result) return JobEnd::failed(result.error());
    if (!result->is_complete) return JobEnd::interrupted();
    // Now, as the runner writes down what was noted only with the next renewal.
    const std::string progress = progress_of(result->counts, &*result);
    run.note(progress);
    const JobLease lease = run.lease();
    const auto kept =
        catalog_.renew_job(lease.job, lease.owner, std::time(nullptr) + kResultLeaseS, progress);
    if (!kept) return JobEnd::failed(kept.error());
    const std::string pool = drivers_.name_of(wish->pool);
    conf::log_info("reconciled pool={} compared={} found={} repaired={}", pool,
                   result->counts.compared, result->counts.found(), result->counts.repaired());
    if (!result->is_too_much) return JobEnd::done();
    return JobEnd::failed(
        {ErrorKind::conflict,
         fmt::format("pool {}: nothing was changed, as more than {} % of what was compared would "
                     "be; look whether its disk is mounted and whether this is its catalog",
                     pool, options.max_change_percent)});
}

}  // namespace tidepool::storage
