#include "transform/worker_process.h"

#include "transform/test_hooks.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// worker_program.S
extern "C" const char tidepool_worker_program[];      // NOLINT(readability-identifier-naming)
extern "C" const char tidepool_worker_program_end[];  // NOLINT(readability-identifier-naming)

namespace tidepool::transform {

namespace {

// The worker's program as a file in memory, made at the first call and kept: workers are replaced
// as long as the server runs.
Result<int> worker_program() {
    static std::mutex mutex;
    static conf::Descriptor file;
    const std::lock_guard lock(mutex);
    if (!file) {
        auto made = make_sealed_file({tidepool_worker_program, tidepool_worker_program_end},
                                     MemoryFile::program);
        if (!made) return std::unexpected(std::move(made.error()));
        file = std::move(*made);
    }
    return file.get();
}

// One thread makes a variant, as far as its libraries ask (see start_vips and heif.h), and they
// look for no files of a user's.
std::vector<std::string> environment() {
    std::vector<std::string> texts{"LC_ALL=C", "HOME=/nonexistent", "OMP_NUM_THREADS=1",
                                   "MALLOC_ARENA_MAX=2"};
#ifdef TIDEPOOL_SANITIZED
    // glib's locks are not ThreadSanitizer's, so it takes all that libvips' threads share for
    // races.
    texts.emplace_back("TSAN_OPTIONS=ignore_noninstrumented_modules=1");
#endif
    for (const char* const name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", kTestDecoderVariable}) {
        const char* const value =
            std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody changes it
        if (value != nullptr) texts.push_back(fmt::format("{}={}", name, value));
    }
    return texts;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    all.reserve(texts.size() + 1);
    for (std::string& text : texts)
        all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

class FileActions {
  public:
    FileActions(int socket, int program) {
        posix_spawn_file_actions_init(&actions_);
        // Onto itself clears close-on-exec in the child, onto another number does too. The socket
        // is put out of the program's way first.
        const int apart = std::max({socket, program, kWorkerProgram}) + 1;
        failed_ |= posix_spawn_file_actions_adddup2(&actions_, socket, apart);
        failed_ |= posix_spawn_file_actions_adddup2(&actions_, program, kWorkerProgram);
        failed_ |= posix_spawn_file_actions_adddup2(&actions_, apart, kWorkerSocket);
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            if (fd == STDERR_FILENO && kKeepsStandardError) continue;
            failed_ |= posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0);
        }
        failed_ |= posix_spawn_file_actions_addclosefrom_np(&actions_, kWorkerProgram + 1);
    }
    ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;

    const posix_spawn_file_actions_t* get() const { return failed_ == 0 ? &actions_ : nullptr; }

  private:
#ifdef TIDEPOOL_SANITIZED
    static constexpr bool kKeepsStandardError = true;  // where reports go
#else
    static constexpr bool kKeepsStandardError = false;
#endif
    posix_spawn_file_actions_t actions_{};
    int failed_ = 0;
};

// No signal is blocked or ignored because the server does so, and those of a terminal do not come.
class Attributes {
  public:
    Attributes() {
        posix_spawnattr_init(&attributes_);
        sigset_t none;
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes_, &none);
        sigset_t usual;
        sigemptyset(&usual);
        for (const int number : {SIGPIPE, SIGIO, SIGCHLD, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ})
            sigaddset(&usual, number);
        posix_spawnattr_setsigdefault(&attributes_, &usual);
        posix_spawnattr_setflags(&attributes_,
                                 static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSID));
    }
    ~Attributes() { posix_spawnattr_destroy(&attributes_); }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;

    const posix_spawnattr_t* get() const { return &attributes_; }

  private:
    posix_spawnattr_t attributes_{};
};

// False where it still runs then.
bool wait_for_end(pid_t pid, std::chrono::milliseconds patience) {
    // By its number: C++ cannot link what glibc 2.36 declares.
    const conf::Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    pollfd end{process.get(), POLLIN, 0};
    int ready = 0;
    do {
        ready = poll(&end, 1, static_cast<int>(patience.count()));
    } while (ready < 0 && errno == EINTR);
    return process && ready == 1;
}

}  // namespace

Result<WorkerProcess> start_worker(const WorkerLimits& limits) {
    const auto program = worker_program();
    if (!program) return std::unexpected(program.error());
    auto channel = open_channel();
    if (!channel) return std::unexpected(std::move(channel.error()));
    const FileActions actions(channel->theirs.get(), *program);
    if (actions.get() == nullptr) return fail(ErrorKind::io, "prepare a worker's descriptors");
    const Attributes attributes;
    std::vector<std::string> arguments{"tidepool", "worker", fmt::format("{}", limits.memory_bytes),
                                       fmt::format("{}", limits.file_bytes),
                                       fmt::format("{}", limits.nice)};
    std::vector<std::string> variables = environment();
    // The new process's own: ours may be closed to it, where a file's capabilities made us such.
    const std::string path = fmt::format("/proc/self/fd/{}", kWorkerProgram);
    WorkerProcess worker;
    const int error = posix_spawn(&worker.pid, path.c_str(), actions.get(), attributes.get(),
                                  pointers(arguments).data(), pointers(variables).data());
    if (error != 0) {
        return fail_errno(error,
                          "start a worker from memory (vm.memfd_noexec of sysctl must not "
                          "be 2, and /proc must be mounted)");
    }
    worker.socket = std::move(channel->ours);
    return worker;
}

WorkerEnd end_worker(pid_t pid, std::chrono::milliseconds patience) {
    const bool ended_itself = patience.count() > 0 && wait_for_end(pid, patience);
    if (!ended_itself) kill(pid, SIGKILL);  // without effect on one that is ending
    int status = 0;
    pid_t ended = 0;
    do {
        ended = waitpid(pid, &status, 0);
    } while (ended < 0 && errno == EINTR);
    using Cause = WorkerEnd::Cause;
    if (ended != pid) return {Cause::itself, "an unknown end"};
    if (!WIFSIGNALED(status)) return {Cause::itself, fmt::format("status {}", WEXITSTATUS(status))};
    const int number = WTERMSIG(status);
    const Cause cause = number == SIGXCPU                   ? Cause::limit
                        : number == SIGKILL && ended_itself ? Cause::others
                                                            : Cause::itself;
    return {cause, fmt::format("signal {}", number)};
}

}  // namespace tidepool::transform
