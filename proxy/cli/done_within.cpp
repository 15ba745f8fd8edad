#include "proxy/cli/done_within.h"

#include "conf/descriptor.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

[[noreturn]] void work_and_end(const std::function<bool()>& work) {
    bool is_good = false;
    try {
        is_good = work();
    } catch (const std::exception&) {  // fmt's, where standard output takes no more
    }
    const bool is_told = std::fflush(nullptr) == 0;
    _exit(is_good && is_told ? 0 : 1);
}

// False: it has not ended by then.
bool wait_for_end(pid_t child, std::chrono::milliseconds patience) {
    using Clock = std::chrono::steady_clock;
    // Not by the C library, whose older headers declare it as if it were of C++.
    const conf::Descriptor handle(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    if (!handle) return true;  // then waiting for it must do
    const auto deadline = Clock::now() + patience;
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd watched{handle.get(), POLLIN, 0};
        const int ended = poll(&watched, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (ended > 0) return true;
        if (ended == 0) return false;
        if (errno != EINTR) return true;
    }
}

}  // namespace

std::optional<bool> done_within(std::chrono::milliseconds patience,
                                const std::function<bool()>& work) {
    std::fflush(nullptr);  // else the child says it once more
    const pid_t child = fork();
    if (child < 0) return work();
    if (child == 0) work_and_end(work);
    if (!wait_for_end(child, patience)) {
        kill(child, SIGKILL);  // which comes once its call returns, so it is not waited for
        return std::nullopt;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace tidepool::cli
