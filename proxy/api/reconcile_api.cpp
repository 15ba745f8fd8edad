#include "proxy/api/reconcile_api.h"

#include "conf/quote.h"
#include "proxy/api/body_fields.h"
#include "proxy/api/jobs_api.h"
#include "storage/reconcile_pool_job.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace tidepool::api {

namespace {

using storage::KnownPool;
using storage::PoolReconcileWish;

// The pools that are meant; complains of those that cannot be.
std::vector<KnownPool> pools_to_reconcile(const std::vector<KnownPool>& all,
                                          const std::optional<std::vector<std::string>>& names,
                                          BodyFields& fields) {
    std::vector<KnownPool> wanted;
    if (!names) {
        std::ranges::copy_if(all, std::back_inserter(wanted), [](const KnownPool& pool) {
            return pool.settings.is_active && pool.problem.empty();
        });
        return wanted;
    }
    if (names->empty()) fields.complain("pools", "expected the name of at least one pool");
    for (const std::string& name : *names) {
        const auto pool = std::ranges::find_if(
            all, [&](const KnownPool& each) { return each.settings.name == name; });
        if (pool == all.end()) {
            fields.complain("pools", fmt::format("there is no pool {}", conf::quote(name)));
        } else if (!pool->problem.empty()) {
            fields.complain("pools",
                            fmt::format("pool {} cannot be used: {}", name, pool->problem));
        } else if (std::ranges::find(wanted, pool->id, &KnownPool::id) == wanted.end()) {
            wanted.push_back(*pool);
        }
    }
    return wanted;
}

ApiAnswer queue_reconciles(const ReconcileMeans& means, const std::vector<KnownPool>& pools,
                           const PoolReconcileWish& options) {
    std::vector<storage::NewJob> jobs;
    std::vector<PoolReconcileWish> wishes;
    for (const KnownPool& pool : pools) {
        PoolReconcileWish& wish = wishes.emplace_back(options);
        wish.pool = pool.id;
        jobs.push_back(storage::pool_reconcile_job(wish, pool.settings.name, ""));
        const auto open = means.catalog->find_open_job(jobs.back().dedup_key);
        if (!open) return api_error(open.error());
        if (!*open) continue;
        const auto other = storage::pool_reconcile_wish(**open);
        if (!other || *other != wish) {
            return api_error(409, "conflict",
                             fmt::format("job {} reconciles pool {} with other options; wait for "
                                         "it, or cancel it",
                                         (*open)->id, pool.settings.name));
        }
    }
    const auto ids = means.catalog->queue_jobs(jobs, std::time(nullptr));
    if (!ids) return api_error(ids.error());
    if (means.queued) means.queued();
    Json queued = Json::array();
    for (std::size_t i = 0; i < pools.size(); ++i)
        queued.push_back({{"pool", pools[i].settings.name}, {"job", (*ids)[i]}});
    const std::string location =
        ids->size() == 1 ? fmt::format("Location: {}/{}\r\n", kJobsPath, ids->front())
                         : fmt::format("Location: {}?type=reconcile-pool\r\n", kJobsPath);
    return {.status = 202, .body = text_of({{"jobs", std::move(queued)}}), .fields = location};
}

}  // namespace

ApiAnswer answer_reconcile(const ReconcileMeans& means, const ApiCall& call) {
    auto fields = BodyFields::parse(call.body);
    if (!fields) return std::move(fields.error());
    const auto names = fields->texts("pools");
    PoolReconcileWish options{.repair = fields->flag("repair").value_or(false),
                              .deep = fields->flag("deep").value_or(false)};
    if (const auto most = fields->number("max_change")) {
        if (*most < 0 || *most > 100) fields->complain("max_change", "expected 0 to 100 percent");
        options.max_change_percent = static_cast<unsigned>(std::clamp<std::int64_t>(*most, 0, 100));
    }
    const auto pools = pools_to_reconcile(means.drivers->pools(), names, *fields);
    if (auto wrong = fields->problems()) return std::move(*wrong);
    if (pools.empty()) return api_error(409, "conflict", "there is no active pool");
    return queue_reconciles(means, pools, options);
}

}  // namespace tidepool::api
