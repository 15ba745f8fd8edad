#include "storage/mirrors.h"

#include "conf/log.h"
#include "storage/backups.h"
#include "storage/mover.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tidepool::storage {

namespace {

Result<void> remove_copy(Catalog& catalog, DriverSet& drivers, const BackupRecord& copy) {
    const auto pools = drivers.pools();
    if (std::ranges::find(pools, copy.pool, &KnownPool::id) == pools.end()) {
        conf::log_warn("a copy is forgotten, as its pool is gone pool={} key={}",
                       drivers.name_of(copy.pool), copy.key);
    } else {
        const auto pool = drivers.find(copy.pool);
        if (!pool) return std::unexpected(pool.error());
        if (auto removed = pool->limited->remove(copy.key); !removed) return removed;
    }
    const auto forgotten = catalog.remove_backup(copy.pool, copy.key);
    if (!forgotten) return std::unexpected(forgotten.error());
    return {};
}

// With the others of its image, so one job is enough for all of them. What another one that is open
// leaves is found by the next look.
Result<std::optional<NewJob>> clean_job_of(Catalog& catalog, DriverSet& drivers,
                                           const ObjectRecord& row, PoolId target,
                                           std::int64_t now_s) {
    const auto rows = rows_of(catalog, {.image = row.image, .key = row.key});
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) return std::optional<NewJob>();
    auto job = clean_mirror_job(catalog, drivers, target, *rows, now_s);
    if (job && *job) (*job)->is_apart = false;
    return job;
}

}  // namespace

std::map<PoolId, PoolId> mirrors_among(std::span<const KnownPool> pools) {
    std::map<PoolId, PoolId> mirrors;
    for (const KnownPool& pool : pools) {
        if (pool.settings.mirror.empty() || pool.id == 0) continue;
        const auto target = std::ranges::find(
            pools, pool.settings.mirror, [](const KnownPool& each) { return each.settings.name; });
        if (target != pools.end() && target->id != 0) mirrors[pool.id] = target->id;
    }
    return mirrors;
}

Catalog::Follow mirror_follower(std::span<const KnownPool> pools) {
    auto mirrors = mirrors_among(pools);
    std::erase_if(mirrors, [&](const auto& each) {
        const auto target = std::ranges::find(pools, each.second, &KnownPool::id);
        return !takes_copies(*target);
    });
    if (mirrors.empty()) return {};
    return [mirrors = std::move(mirrors)](const ObjectRecord& row) -> std::optional<NewJob> {
        const auto target = mirrors.find(row.pool);
        if (target == mirrors.end()) return std::nullopt;
        return backup_job(row.key, target->second, "");
    };
}

Result<void> remove_mirror_copies(Catalog& catalog, DriverSet& drivers, const std::string& key) {
    const auto copies = catalog.backups_of(key);
    if (!copies) return std::unexpected(copies.error());
    for (const BackupRecord& copy : *copies) {
        if (!copy.is_mirror()) continue;
        if (auto removed = remove_copy(catalog, drivers, copy); !removed) return removed;
    }
    return {};
}

Result<void> remove_mirror_copies_below(Catalog& catalog, DriverSet& drivers,
                                        const std::string& prefix) {
    for (const KnownPool& known : drivers.pools()) {
        std::string after = prefix;
        while (true) {
            const auto page = catalog.list_backups(known.id, after, Catalog::kPage);
            if (!page) return std::unexpected(page.error());
            for (const BackupRecord& copy : *page) {
                if (!copy.key.starts_with(prefix)) break;
                if (!copy.is_mirror()) continue;
                if (auto removed = remove_copy(catalog, drivers, copy); !removed) return removed;
            }
            if (page->empty() || !page->back().key.starts_with(prefix)) break;
            after = page->back().key;
        }
    }
    return {};
}

Result<PruneResult> prune_mirror(Catalog& catalog, DriverSet& drivers, PoolId target,
                                 const std::string& batch, std::int64_t now_s) {
    PruneResult result;
    std::string after;
    while (true) {
        const auto page = catalog.list_backups(target, after, Catalog::kPage);
        if (!page) return std::unexpected(page.error());
        std::vector<NewJob> jobs;
        for (const BackupRecord& copy : *page) {
            const auto row = catalog.find(copy.original);
            if (!row) return std::unexpected(row.error());
            if (!*row) {
                ++result.lone;
                continue;
            }
            if (!copy.is_mirror() || drivers.mirror_of((*row)->pool) == target) {
                ++result.kept;
                continue;
            }
            ++result.stale;
            result.bytes += copy.size;
            if (batch.empty()) continue;
            auto job = clean_job_of(catalog, drivers, **row, target, now_s);
            if (!job) return std::unexpected(std::move(job.error()));
            if (!*job) continue;
            (*job)->batch = batch;
            jobs.push_back(std::move(**job));
        }
        if (!jobs.empty()) {
            const auto queued = catalog.queue_jobs(jobs, now_s);
            if (!queued) return std::unexpected(queued.error());
        }
        if (page->size() < Catalog::kPage) return result;
        after = page->back().key;
    }
}

}  // namespace tidepool::storage
