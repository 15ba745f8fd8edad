// Has originals looked at for whoever asks, on any loop: by the worker processes, led by their home
// loop.
#pragma once

#include "conf/error.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/task.h"
#include "proxy/loop/worker_pool.h"
#include "proxy/serve/variant_workers.h"
#include "storage/open_file.h"
#include "transform/inspection.h"
#include "transform/recipe.h"

#include <deque>
#include <memory>
#include <mutex>

namespace tidepool::serve {

class Inspector {
  public:
    // All outlive it; `home` is that of the workers. `readers` read what tells the lane, blocking.
    Inspector(loop::Loop& home, VariantWorkers& workers, loop::WorkerPool& readers,
              const transform::Limits& limits)
        : home_(home), workers_(workers), readers_(readers), limits_(limits) {}

    // Looks at the file and comes back to `loop`, which is the caller's own. Errors are those of
    // VariantWorkers::inspect, `busy` where somebody cut the file meanwhile, and `closed` once the
    // server stops.
    loop::Task<Result<transform::Inspection>> inspect(loop::Loop& loop,
                                                      std::shared_ptr<const storage::OpenFile> file,
                                                      transform::InspectDepth depth);

    // Takes nothing more and ends with `closed` what has not come to the workers, who are stopped
    // apart from this. On the home loop.
    void stop();

  private:
    struct Request;
    class HandOver;

    bool take(Request& request);
    void begin_next();
    static loop::Task<> lead(Inspector& self, Request& request);
    loop::Task<Result<VariantLane>> lane_of(const Request& request);
    loop::Task<Result<transform::Inspection>> look(const Request& request);

    loop::Loop& home_;
    VariantWorkers& workers_;
    loop::WorkerPool& readers_;
    const transform::Limits limits_;

    std::mutex mutex_;
    std::deque<Request*> handed_over_;  // that the home loop has not begun
    bool stopping_ = false;
};

}  // namespace tidepool::serve
