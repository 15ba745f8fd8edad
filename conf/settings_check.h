// Settings that are each in their range but do not go together.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"

#include <string_view>

namespace tidepool::conf {

// Everything wrong with settings, wherever they came from: ranges, then contradictions. Keys of
// repeated sections count from 1 in the order of the vectors.
Findings find_wrong_settings(const Settings& settings);

// What cannot be without a catalog although it is configured, "uploads"; "" where nothing needs it.
std::string_view need_of_catalog(const Settings& settings);

}  // namespace tidepool::conf
