// Reads a TOML configuration into Settings and says everything that is wrong with it at once.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"

#include <string>
#include <string_view>
#include <vector>

namespace tidepool::conf {

// What reading a configuration gave. `settings` is only meaningful where `problems` is empty.
struct ReadSettings {
    Settings settings;
    std::vector<Problem> problems;  // by line, then column
};

// Reads a file's text. Pure: touches no disk but for `file:` lists of ranges. Never throws but for
// want of memory. What is wrong with the TOML itself is one problem; otherwise all problems are
// found at once.
ReadSettings read_settings(std::string_view toml_text, const std::string& file_name);

// Reads the file itself, a regular one of at most 1 MiB; a file that cannot be read is one problem.
ReadSettings read_settings_file(const std::string& path);

// What is wrong with settings that did not come from a file alone (--root, --listen): ranges and
// contradictions. The problems have no file, line or column.
std::vector<Problem> check_settings(const Settings& settings);

}  // namespace tidepool::conf
