#include "storage/reconcile_job.h"

#include "conf/log.h"
#include "storage/job_payload.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

namespace tidepool::storage {

namespace {

constexpr std::int64_t kPendingS = 60;

}  // namespace

NewJob reconcile_job(const std::string& pool, const std::string& key) {
    return {.type = "reconcile",
            .payload = PayloadWriter().add("key", key).add("pool", pool).text(),
            .dedup_key = fmt::format("reconcile {} {}", pool, key)};
}

std::optional<PoolId> ReconcileJobs::pool_called(const std::string& name) const {
    for (const KnownPool& pool : drivers_.pools()) {
        if (pool.settings.name == name) return pool.id;
    }
    return std::nullopt;
}

JobEnd ReconcileJobs::reconcile(JobRun& run) {
    const PayloadReader payload(run.job().payload);
    const auto key = payload.text("key");
    const auto name = payload.text("pool");
    if (!key || !name) {
        return JobEnd::failed(
            {ErrorKind::invalid, fmt::format("job {} does not say what to look at", run.job().id)});
    }
    const auto id = pool_called(*name);
    // A pool that is gone has nothing that could be wrong.
    if (!id) return JobEnd::done();
    const auto pool = drivers_.find(*id);
    if (!pool) return JobEnd::failed(pool.error());
    const std::int64_t now_s = std::time(nullptr);
    ReconcileJudge judge(catalog_, *pool,
                         {.now_s = now_s,
                          .grace_s = grace_s_,
                          .deep = true,
                          .quarantine_prefix = rules_.quarantine_prefix,
                          .asking = run.job().id});
    const auto verdict = judge.look(*key);
    if (!verdict) return JobEnd::failed(verdict.error());
    switch (verdict->kind) {
        case Verdict::Kind::well:
        case Verdict::Kind::left_out:
            return JobEnd::done();
        case Verdict::Kind::pending:
            return JobEnd::put_off(kPendingS);
        case Verdict::Kind::young:
            return JobEnd::put_off(
                std::clamp<std::int64_t>(verdict->object->modified_s + grace_s_ - now_s + 1,
                                         kPendingS, std::max(grace_s_, kPendingS)));
        case Verdict::Kind::finding:
            break;
    }
    return repair(run, *pool, *verdict);
}

JobEnd ReconcileJobs::repair(JobRun& run, const DriverSet::Pool& pool, const Verdict& verdict) {
    if (!run.goes_on()) return JobEnd::put_off(0);
    RepairRules rules = rules_;
    rules.now_s = std::time(nullptr);
    Repairer repairer(catalog_, drivers_, pool, std::move(rules), run.job().id);
    auto end = repairer.repair(verdict);
    if (!end) return JobEnd::failed(std::move(end.error()));
    conf::log_info("reconciled pool={} key={} finding={} repaired={} end=\"{}\"",
                   pool.driver->pool(), verdict.key, name_of(verdict.finding), end->is_repaired,
                   end->what);
    if (end->is_repaired) return JobEnd::done();
    return JobEnd::failed(
        {ErrorKind::corrupt, fmt::format("pool {}: {}: {}: {}", pool.driver->pool(), verdict.key,
                                         name_of(verdict.finding), end->what)});
}

}  // namespace tidepool::storage
