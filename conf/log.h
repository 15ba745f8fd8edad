// What the server says about itself: one line per event on standard error, "key=value" pairs.
#pragma once

#include "conf/settings.h"

#include <string>

#include <fmt/format.h>

namespace tidepool::conf {

// Lines below the level are dropped, as are those that nobody takes: it never waits. Any thread.
// Levels: error = someone must act, warn = we coped, info = a change of state, debug = per request.
// Never log secrets or full URLs with queries.
void set_log_level(LogSettings::Level level);
bool log_enabled(LogSettings::Level level);
void log_line(LogSettings::Level level, const std::string& text);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(LogSettings::Level::debug)) {
        log_line(LogSettings::Level::debug, fmt::format(format, std::forward<Args>(args)...));
    }
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogSettings::Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogSettings::Level::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogSettings::Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tidepool::conf
