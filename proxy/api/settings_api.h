// /api/admin/v1/settings: the settings that matter while it runs, as they are in force, and changes
// of those that need no restart.
#pragma once

#include "conf/settings.h"
#include "proxy/api/api_answer.h"
#include "proxy/api/pool_json.h"
#include "proxy/api/settings_registry.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::api {

inline constexpr std::string_view kSettingsPath = "/api/admin/v1/settings";

// By what a change needs: {"reload": {SECTION: {...}}, "file": {SECTION: {...}}, "restart":
// {SECTION: {...}}}, written as in the configuration file; "file" is what a reload takes over and
// PATCH does not change. Secrets are told by their source (invariant 10).
Json settings_json(const conf::Settings& settings);

// What is in force after a reload: what a reload takes over from the file, and else what there was.
conf::Settings after_reload(const conf::Settings& old, const conf::Settings& file);

// The keys that have changed since the start, when the file said `started`, and that a reload of
// `file` does not take over, so that they need a restart: "cache.memory"; of repeated sections the
// name alone, "profile".
std::vector<std::string> keys_for_restart(const conf::Settings& started,
                                          const conf::Settings& file);

// GET: settings_json(), and the names of those that are not the file's. Pure.
ApiAnswer show_settings(const SettingsInForce& settings, const ApiCall& call);

struct SettingsMeans {
    SettingsRegistry* registry = nullptr;         // outlives the call; has a catalog
    std::function<SettingsInForce()> in_force{};  // as they are now
    std::function<void()> changed{};              // takes over what the registry has; blocks
};

// PATCH: SettingsRegistry::change(), and then as GET; 422 with what is wrong. Blocks on the
// catalog; any thread.
ApiAnswer change_settings(const SettingsMeans& means, const ApiCall& call);

}  // namespace tidepool::api
