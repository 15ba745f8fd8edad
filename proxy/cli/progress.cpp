#include "proxy/cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace tidepool::cli {

namespace {

constexpr std::chrono::milliseconds kInterval{100};
constexpr std::uint64_t kBarWidth = 30;
constexpr const char* kWipe = "\r\x1b[K";  // to the line's start, and all of it away

std::string bar(std::uint64_t done, std::uint64_t total) {
    const double part =
        total == 0 ? 1.0 : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
    const auto full = static_cast<std::uint64_t>(part * kBarWidth);
    return fmt::format("[{}{}] {:3.0f}% ", std::string(full, '#'),
                       std::string(kBarWidth - full, ' '), part * 100);
}

}  // namespace

Progress::Progress(std::string what) : what_(std::move(what)), on_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    if (written_) fmt::print(stderr, "{}", kWipe);
    std::fflush(stderr);
}

void Progress::update(std::uint64_t done, std::optional<std::uint64_t> total, const char* unit) {
    const Clock::time_point now = Clock::now();
    if (!on_ || now < next_) return;
    next_ = now + kInterval;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    fmt::print(stderr, "{}{}: {}{}{}, {:.0f}{}/s", kWipe, what_, total ? bar(done, *total) : "",
               done, unit, rate, unit);
    std::fflush(stderr);
    written_ = true;
}

}  // namespace tidepool::cli
