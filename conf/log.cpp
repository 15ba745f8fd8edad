#include "conf/log.h"

#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

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

spdlog::logger& logger() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>(
            "tidepool", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
        made->flush_on(spdlog::level::debug);
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
