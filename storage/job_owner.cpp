#include "storage/job_owner.h"

#include "conf/random_name.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace tidepool::storage {

namespace {

constexpr std::string_view kUnknown = "?";

// What process ids mean something in: one boot of one machine, and one name space there.
std::string id_space() {
    std::string boot;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    std::array<char, 64> name{};
    const ssize_t size = readlink("/proc/self/ns/pid", name.data(), name.size());
    if (boot.empty() || size <= 0) return std::string(kUnknown);
    return fmt::format("{}/{}", boot,
                       std::string_view(name.data(), static_cast<std::size_t>(size)));
}

// When a process began, in clock ticks since the boot; nothing where there is none of this id.
std::optional<std::uint64_t> start_of(long pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string text;
    if (!std::getline(file, text)) return std::nullopt;
    // The second field is the program's name in parentheses, which may hold anything.
    std::size_t at = text.rfind(')');
    constexpr int kFieldsBetween = 20;  // from the third field to the twenty-second
    for (int field = 0; field < kFieldsBetween && at != text.npos; ++field)
        at = text.find(' ', at + 1);
    if (at == text.npos) return std::nullopt;
    std::uint64_t start = 0;
    const auto read = std::from_chars(text.data() + at + 1, text.data() + text.size(), start);
    if (read.ec != std::errc()) return std::nullopt;
    return start;
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

}  // namespace

std::string new_job_owner() {
    const long pid = getpid();
    return fmt::format("{} {} {} {}", id_space(), pid, start_of(pid).value_or(0),
                       conf::random_name());
}

bool has_ended(std::string_view owner) {
    const auto words = words_of(owner);
    if (words.size() != 4 || words[0] == kUnknown || words[0] != id_space()) return false;
    long pid = 0;
    std::uint64_t start = 0;
    if (std::from_chars(words[1].begin(), words[1].end(), pid).ec != std::errc()) return false;
    if (std::from_chars(words[2].begin(), words[2].end(), start).ec != std::errc()) return false;
    const auto started = start_of(pid);
    if (started) return *started != start;
    // One that /proc does not show us, as it is somebody else's (hidepid, ProtectProc), lives: of
    // another that has got its number in the meantime nothing tells it apart.
    return kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
}

}  // namespace tidepool::storage
