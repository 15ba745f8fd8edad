#include "proxy/serve/job_work.h"

#include "proxy/serve/cache_policy.h"
#include "storage/image_key.h"
#include "storage/job_lanes.h"
#include "transform/recipe.h"

#include <chrono>
#include <memory>
#include <utility>

namespace tidepool::serve {

namespace {

template <class Duration>
std::int64_t seconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

storage::MoveRules move_rules(const conf::Settings& settings,
                              std::function<void(const std::vector<std::string>&)> changed) {
    const auto all = std::make_shared<const conf::Settings>(settings);
    storage::MoveRules rules;
    rules.grace_s = seconds(settings.move.grace);
    rules.variants_of = [all](const std::string& original) {
        std::vector<std::string> keys;
        const auto prefix = storage::variants_prefix(original);
        if (!prefix) return keys;
        const storage::ImageKey key = storage::parse_image_key(original);
        for (const transform::VariantName& name :
             transform::variants_of(*all, key.extension, false))
            keys.push_back(*prefix + name.ending());
        return keys;
    };
    rules.cache_control = cache_control_of(settings);
    rules.moved = std::move(changed);
    return rules;
}

storage::RepairRules repair_rules(const conf::Settings& settings,
                                  std::function<void(const std::vector<std::string>&)> changed) {
    storage::RepairRules rules;
    rules.quarantine_prefix = settings.reconcile.quarantine_prefix;
    rules.cache_control = cache_control_of(settings);
    rules.changed = std::move(changed);
    return rules;
}

storage::JobRunner::Options runner_options(const conf::Settings& settings,
                                           storage::DriverSet& drivers) {
    storage::JobRunner::Options options;
    options.threads = settings.jobs.threads;
    options.keep_s = seconds(settings.jobs.keep);
    options.room = [&drivers](const std::string& lane, const storage::JobRunner::Running& running) {
        return storage::room_in_lane(drivers, lane, running);
    };
    options.tick = [&drivers] { drivers.exchange_budgets(); };
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
                 storage::DriverSet& drivers,
                 std::function<void(const std::vector<std::string>&)> changed)
    : drivers_(drivers),
      mover_(catalog, drivers, move_rules(settings, changed)),
      reconcile_(catalog, drivers, repair_rules(settings, std::move(changed)),
                 seconds(settings.reconcile.grace)),
      runner_(catalog, runner_options(settings, drivers)) {
    runner_.handle("move", [this](storage::JobRun& run) { return mover_.move(run); });
    runner_.handle("clean", [this](storage::JobRun& run) { return mover_.clean(run); });
    runner_.handle("reconcile", [this](storage::JobRun& run) { return reconcile_.reconcile(run); });
}

void JobWork::ask_to_stop() {
    drivers_.stop();
    runner_.ask_to_stop();
}

void JobWork::stop() {
    ask_to_stop();
    runner_.stop();
}

}  // namespace tidepool::serve
