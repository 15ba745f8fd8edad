#include "proxy/cli/worker.h"

#include "transform/worker_process.h"

#include <cstdlib>

namespace tidepool::cli {

void add_worker(CLI::App& app, transform::WorkerLimits& limits) {
    CLI::App& parser = *app.add_subcommand("worker", "Make variants; started by serve")->group("");
    parser.add_option("memory", limits.memory_bytes)->required();
    parser.add_option("nice", limits.nice)->required();
    parser.callback([&limits] {
        const int status = transform::run_worker(transform::kWorkerSocket, limits);
        // Nothing of this process can be cleaned up in the sandbox.
        std::_Exit(status);
    });
}

}  // namespace tidepool::cli
