#include "proxy/cli/takeover.h"

#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <spawn.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

constexpr const char* kReadyVariable = "TIDEPOOL_READY_FD";

std::vector<std::string> environment_for_successor(const std::vector<ListenSocket>& sockets,
                                                   int ready_fd) {
    std::vector<std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        // systemd's variables name the process they are meant for; ours are set anew.
        if (!text.starts_with("LISTEN_") && !text.starts_with(kSocketsVariable) &&
            !text.starts_with(kReadyVariable)) {
            environment.emplace_back(text);
        }
    }
    environment.push_back(fmt::format("{}={}", kSocketsVariable, describe_for_successor(sockets)));
    environment.push_back(fmt::format("{}={}", kReadyVariable, ready_fd));
    return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (std::string& text : texts)
        result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

}  // namespace

std::string program_path(const std::string& argument_zero) {
    if (argument_zero.find('/') != std::string::npos) {
        char absolute[PATH_MAX];
        if (argument_zero.front() == '/') return argument_zero;
        if (getcwd(absolute, sizeof absolute) != nullptr)
            return fmt::format("{}/{}", absolute, argument_zero);
    }
    char link[PATH_MAX] = {};
    const ssize_t length = readlink("/proc/self/exe", link, sizeof link - 1);
    return length > 0 ? std::string(link, static_cast<std::size_t>(length)) : argument_zero;
}

Result<Successor> start_successor(const std::vector<std::string>& arguments,
                                  const std::vector<ListenSocket>& sockets) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno(errno, "pipe");
    // Those that libraries open are not closed on exec, and would be one more in each generation.
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // Duplicating a descriptor onto itself clears its close-on-exec flag in the child alone.
    for (const ListenSocket& socket : sockets) {
        for (const int fd : socket.fds)
            posix_spawn_file_actions_adddup2(&actions, fd, fd);
    }
    posix_spawn_file_actions_adddup2(&actions, ends[1], ends[1]);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

    std::vector<std::string> argument_texts = arguments;
    std::vector<std::string> environment_texts = environment_for_successor(sockets, ends[1]);
    Successor successor{0, ends[0]};
    const int error =
        posix_spawn(&successor.pid, arguments.front().c_str(), &actions, &attributes,
                    pointers(argument_texts).data(), pointers(environment_texts).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error == 0) return successor;
    close(ends[0]);
    return fail_errno(error, "start " + arguments.front());
}

bool has_predecessor() {
    return std::getenv(kReadyVariable) != nullptr;  // NOLINT(concurrency-mt-unsafe): as below
}

void tell_predecessor() {
    const char* const value =
        std::getenv(kReadyVariable);  // NOLINT(concurrency-mt-unsafe): no other thread writes it
    if (value == nullptr) return;
    int fd = -1;
    std::from_chars(value, value + std::strlen(value), fd);
    unsetenv(kReadyVariable);  // NOLINT(concurrency-mt-unsafe): as above
    if (fd < 0) return;
    [[maybe_unused]] const ssize_t told =
        write(fd, "1", 1);  // a predecessor that has gone needs no word
    close(fd);
}

}  // namespace tidepool::cli
