// Who does the catalog's jobs in this process: the server in its background, or a command.
#pragma once

#include "conf/settings.h"
#include "proxy/serve/edge_purge.h"
#include "proxy/serve/job_chores.h"
#include "storage/backups.h"
#include "storage/catalog.h"
#include "storage/driver_set.h"
#include "storage/image_remover.h"
#include "storage/job_runner.h"
#include "storage/mover.h"
#include "storage/reconcile_job.h"
#include "storage/reconcile_pool_job.h"
#include "storage/shelf.h"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tidepool::serve {

// The Cache-Control that goes with an object into a bucket, for visitors who are sent there; by key
// and content type. Any thread.
std::function<std::string(const std::string& key, const std::string& type)> cache_control_of(
    const conf::Settings& settings);

// Any thread.
class JobWork {
  public:
    // Is told which keys are somewhere else, or gone, by now.
    using Changed = std::function<void(const std::vector<std::string>& keys)>;
    // All of them outlive it; `shelf` may be null, `changed` empty.
    JobWork(const conf::Settings& settings, storage::Catalog& catalog, storage::DriverSet& drivers,
            storage::Shelf* shelf, const Changed& changed);

    // Jobs of one more type, of which at most so many are done at a time here. Before start().
    void handle(const std::string& type, storage::JobRunner::Handler handler, std::size_t most);
    // See JobChores::also.
    void also(std::function<void()> chore) { chores_.also(std::move(chore)); }
    // The jobs alone, as a command does.
    void start() { runner_.start(); }
    // With the chores that a server sees to.
    void start_all();
    // Never blocks; those that run end after their step.
    void ask_to_stop();
    // Waits for that.
    void stop();
    // Something was queued that is due.
    void look() { runner_.look(); }
    // Whether a job runs here, or is due that could.
    Result<bool> has_work() const { return runner_.has_work(); }
    storage::JobRunner::Counters counters() const { return runner_.counters(); }
    JobChores::State state() const { return chores_.state(); }
    const EdgePurge& edge() const { return edge_; }
    EdgePurge& edge() { return edge_; }

  private:
    storage::DriverSet& drivers_;
    std::map<std::string, std::size_t>
        most_;  // by lane or kind of lanes, of those that handle() added
    storage::Mover mover_;
    storage::ImageRemover remover_;
    storage::Backups backups_;
    storage::ReconcileJobs reconcile_;
    storage::PoolReconcileJobs pool_reconcile_;
    EdgePurge edge_;
    JobChores chores_;
    storage::JobRunner runner_;
};

}  // namespace tidepool::serve
