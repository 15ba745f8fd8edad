// The worker's program. It is no file of its own where tidepool is installed:
// transform/worker_process.cpp carries it.
#include "transform/worker/run.h"

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string_view>
#include <system_error>

#include <sys/prctl.h>
#include <unistd.h>

namespace {

template <class Number>
bool read_number(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

// As start_worker calls it: "tidepool worker MEMORY FILES NICE", which is how it shows in a list of
// processes.
int main(int argument_count, char** argument_values) {
    constexpr int kUsage = 2;
    const std::span arguments(argument_values, static_cast<std::size_t>(argument_count));
    tidepool::transform::WorkerLimits limits;
    if (arguments.size() != 5 || !read_number(arguments[2], limits.memory_bytes) ||
        !read_number(arguments[3], limits.file_bytes) || !read_number(arguments[4], limits.nice))
        return kUsage;
    close(tidepool::transform::kWorkerProgram);
    prctl(PR_SET_NAME, "tidepool-worker");  // else the number of that descriptor
    // In the middle of a job nobody looks whether the socket is closed. The server's threads that
    // start workers live as long as it uses any.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int status = tidepool::transform::run_worker(tidepool::transform::kWorkerSocket, limits);
    // Nothing of this process can be cleaned up in the sandbox.
    std::_Exit(status);
}
