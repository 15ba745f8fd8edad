// /api/admin/v1/settings: the settings that matter while it runs, as they are in force.
#pragma once

#include "conf/settings.h"
#include "proxy/api/api_answer.h"
#include "proxy/api/pool_json.h"

#include <string_view>

namespace tidepool::api {

inline constexpr std::string_view kSettingsPath = "/api/admin/v1/settings";

// By what a change needs: {"reload": {SECTION: {...}}, "restart": {SECTION: {...}}}, written as in
// the configuration file. Secrets are told by their source (invariant 10).
Json settings_json(const conf::Settings& settings);

// What is in force after a reload: what a reload takes over from the file, and else what there was.
conf::Settings after_reload(const conf::Settings& old, const conf::Settings& file);

// GET alone. Pure.
ApiAnswer answer_settings(const conf::Settings& settings, const ApiCall& call);

}  // namespace tidepool::api
