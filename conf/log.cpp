#include "conf/log.h"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace tidepool::conf {

namespace {

spdlog::level::level_enum spdlog_level(LogSettings::Level level) {
    switch (level) {
        case LogSettings::Level::debug:
            return spdlog::level::debug;
        case LogSettings::Level::info:
            return spdlog::level::info;
        case LogSettings::Level::warn:
            return spdlog::level::warn;
        case LogSettings::Level::error:
            return spdlog::level::err;
    }
    return spdlog::level::info;
}

// Standard error, which may be a pipe or socket that nobody reads: a line that would have to wait
// is dropped and counted, since event loops log too (invariant 6).
class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        // A pipe that is ready takes this much at once.
        if (line.size() > kLineBytes) {
            line.resize(kLineBytes);
            line.data()[kLineBytes - 1] = '\n';
        }
        if (!is_ready()) {
            ++dropped_;
            return;
        }
        if (dropped_ > 0) {
            write_out(
                fmt::format("{} lines were not written: nobody reads standard error\n", dropped_));
            dropped_ = 0;
            if (!is_ready()) {
                ++dropped_;
                return;
            }
        }
        write_out({line.data(), line.size()});
    }
    void flush_() override {}

  private:
    static constexpr std::size_t kLineBytes = 4096;  // PIPE_BUF

    static bool is_ready() {
        pollfd out{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0;
    }
    static void write_out(std::string_view text) {
        while (!text.empty()) {
            const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return;  // there is nobody to tell
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    std::uint64_t dropped_ = 0;
};

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>("tidepool", std::make_shared<StandardError>());
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
        return made;
    }();
    return *instance;
}

}  // namespace

void set_log_level(LogSettings::Level level) {
    logger().set_level(spdlog_level(level));
}

bool log_enabled(LogSettings::Level level) {
    return logger().should_log(spdlog_level(level));
}

void log_line(LogSettings::Level level, const std::string& text) {
    logger().log(spdlog_level(level), text);
}

}  // namespace tidepool::conf
