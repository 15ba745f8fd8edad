#include "proxy/serve/job_work.h"

#include "conf/day_window.h"
#include "proxy/serve/cache_policy.h"
#include "proxy/serve/remote_pool.h"
#include "storage/image_key.h"
#include "storage/job_lanes.h"
#include "transform/recipe.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace tidepool::serve {

namespace {

template <class Duration>
std::int64_t seconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

using VariantsOf = std::function<std::vector<std::string>(const std::string&)>;

// The keys that variants of an original have, where there are any.
VariantsOf variants_of(const conf::Settings& settings) {
    return [all = std::make_shared<const conf::Settings>(settings)](const std::string& original) {
        std::vector<std::string> keys;
        const auto prefix = storage::variants_prefix(original);
        if (!prefix) return keys;
        const storage::ImageKey key = storage::parse_image_key(original);
        for (const transform::VariantName& name :
             transform::variants_of(*all, key.extension, false))
            keys.push_back(*prefix + name.ending());
        return keys;
    };
}

storage::MoveRules move_rules(const conf::Settings& settings, const JobWork::Changed& changed) {
    storage::MoveRules rules;
    rules.grace_s = seconds(settings.move.grace);
    rules.cache_control = cache_control_of(settings);
    rules.moved = changed;
    return rules;
}

// What is on the shelf of an object: it as a whole, and its slices.
void unshelve(storage::Shelf& shelf, const storage::ObjectRecord& row,
              const conf::PoolSettings& pool, std::uint64_t slice_bytes) {
    const auto object = remote_object(row, std::make_shared<RemotePool>(pool));
    shelf.drop(shelf_name(*object));
    for (std::uint64_t start = 0; start < row.size; start += slice_bytes) {
        shelf.drop({pool.name, row.key, object->version(), start / slice_bytes,
                    std::min(slice_bytes, row.size - start)});
    }
}

storage::RemoveRules remove_rules(const conf::Settings& settings, storage::DriverSet& drivers,
                                  storage::Shelf* shelf, const JobWork::Changed& changed) {
    storage::RemoveRules rules;
    rules.with_backups = settings.deletion.backups;
    rules.variants_of = variants_of(settings);
    rules.removed = changed;
    if (shelf == nullptr) return rules;
    rules.unshelve = [&drivers, shelf,
                      slice_bytes = settings.shelf.slice_bytes](const storage::ObjectRecord& row) {
        const auto pool = drivers.find(row.pool);
        if (pool) unshelve(*shelf, row, pool->known.settings, slice_bytes);
    };
    return rules;
}

storage::RepairRules repair_rules(const conf::Settings& settings, const JobWork::Changed& changed) {
    storage::RepairRules rules;
    rules.quarantine_prefix = settings.reconcile.quarantine_prefix;
    rules.cache_control = cache_control_of(settings);
    rules.changed = changed;
    return rules;
}

storage::ReconcileOptions reconcile_options(const conf::Settings& settings,
                                            const JobWork::Changed& changed) {
    storage::ReconcileOptions options;
    options.grace_s = seconds(settings.reconcile.grace);
    options.max_change_percent = settings.reconcile.max_change_percent;
    options.quarantine_prefix = settings.reconcile.quarantine_prefix;
    options.cache_control = cache_control_of(settings);
    options.changed = changed;
    return options;
}

// A lane's own, or that of all lanes of its kind which have none.
using Limits = std::map<std::string, std::size_t>;
Limits::const_iterator limit_of(const Limits& most, const std::string& lane) {
    const auto own = most.find(lane);
    return own != most.end() ? own : most.find(std::string(storage::type_of_lane(lane)));
}

storage::JobRunner::Options runner_options(const conf::Settings& settings,
                                           storage::DriverSet& drivers,
                                           const std::map<std::string, std::size_t>& most) {
    storage::JobRunner::Options options;
    options.threads = settings.jobs.threads;
    options.keep_s = seconds(settings.jobs.keep);
    // Until a cap is reset, or for a time of grace.
    options.most_wait_s =
        2 * conf::kDayS + seconds(std::max(settings.move.grace, settings.reconcile.grace));
    options.room = [&drivers, &most](const std::string& lane,
                                     const storage::JobRunner::Running& running) {
        const auto limit = limit_of(most, lane);
        if (limit == most.end()) return storage::room_in_lane(drivers, lane, running);
        std::size_t count = 0;
        for (const auto& [other, at_work] : running)
            count += limit_of(most, other) == limit ? at_work : 0;
        return limit->second - std::min(limit->second, count);
    };
    return options;
}

}  // namespace

std::function<std::string(const std::string&, const std::string&)> cache_control_of(
    const conf::Settings& settings) {
    const auto policy = std::make_shared<const CachePolicy>(settings.cache_control);
    return [policy](const std::string& key, const std::string& type) {
        return std::string(policy->cache_control(key, 200, type));
    };
}

JobWork::JobWork(const conf::Settings& settings, storage::Catalog& catalog,
                 storage::DriverSet& drivers, storage::Shelf* shelf, const Changed& changed)
    : drivers_(drivers),
      mover_(catalog, drivers, move_rules(settings, changed)),
      remover_(catalog, drivers, remove_rules(settings, drivers, shelf, changed)),
      backups_(catalog, drivers, seconds(settings.backup.delay), cache_control_of(settings)),
      reconcile_(catalog, drivers, repair_rules(settings, changed),
                 seconds(settings.reconcile.grace)),
      pool_reconcile_(catalog, drivers, reconcile_options(settings, changed)),
      edge_(catalog, drivers, settings, variants_of(settings)),
      chores_(settings, catalog, drivers),
      runner_(catalog, runner_options(settings, drivers, most_)) {
    runner_.handle("move", [this](storage::JobRun& run) { return mover_.move(run); });
    runner_.handle("clean", [this](storage::JobRun& run) { return mover_.clean(run); });
    runner_.handle("delete", [this](storage::JobRun& run) { return remover_.remove(run); });
    runner_.handle("backup", [this](storage::JobRun& run) { return backups_.copy(run); });
    runner_.handle("backup-scan", [this](storage::JobRun& run) { return backups_.scan(run); });
    runner_.handle("reconcile", [this](storage::JobRun& run) { return reconcile_.reconcile(run); });
    runner_.handle("reconcile-pool",
                   [this](storage::JobRun& run) { return pool_reconcile_.reconcile(run); });
    // Who knows no zone leaves purges to those that do, or to a time when it does.
    if (settings.purge.zone_id.empty()) return;
    // One of each lane at a time, as it takes the others along.
    most_[std::string(storage::kTakedownLane)] = 1;
    handle(
        std::string(storage::kPurgeType), [this](storage::JobRun& run) { return edge_.purge(run); },
        1);
}

void JobWork::handle(const std::string& type, storage::JobRunner::Handler handler,
                     std::size_t most) {
    most_[type] = most;
    runner_.handle(type, std::move(handler));
}

void JobWork::start_all() {
    chores_.start();
    runner_.start();
}

void JobWork::ask_to_stop() {
    drivers_.stop();
    edge_.ask_to_stop();
    runner_.ask_to_stop();
}

void JobWork::stop() {
    ask_to_stop();
    runner_.stop();
    chores_.stop();
}

}  // namespace tidepool::serve
