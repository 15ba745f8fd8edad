// One line on a terminal that says how far a long command is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace tidepool::cli {

// On standard error, rewritten in place at most ten times a second, and wiped away at the end;
// where that is no terminal nothing is written. One thread.
class Progress {
  public:
    explicit Progress(std::string what);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // `total`, where it is known, makes a bar of it. `unit` follows the number: " objects".
    void update(std::uint64_t done, std::optional<std::uint64_t> total, const char* unit);

  private:
    using Clock = std::chrono::steady_clock;

    std::string what_;
    bool on_;
    bool written_ = false;
    Clock::time_point start_ = Clock::now();
    Clock::time_point next_ = start_;
};

}  // namespace tidepool::cli
