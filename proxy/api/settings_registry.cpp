#include "proxy/api/settings_registry.h"

#include "conf/fault_point.h"
#include "conf/log.h"
#include "conf/quote.h"

#include <ctime>
#include <span>
#include <utility>

namespace tidepool::api {

SettingsRegistry::SettingsRegistry(const conf::Settings& file, storage::Catalog* catalog)
    : catalog_(catalog), file_(file) {}

void SettingsRegistry::use_file(const conf::Settings& file) {
    const std::lock_guard lock(mutex_);
    file_ = file;
}

SettingsInForce SettingsRegistry::load() {
    Result<std::vector<storage::SettingRecord>> rows;
    if (catalog_ != nullptr) rows = catalog_->settings();
    if (!rows) {
        conf::log_error(
            "settings changed at run time not read, the known ones are kept reason=\"{}\"",
            rows.error().text);
    }
    const std::lock_guard lock(mutex_);
    if (rows) known_ = overrides_of(*rows);
    OverriddenSettings made = override_settings(file_, known_);
    complain(made.refused);
    return {std::move(made.settings), std::move(made.names)};
}

// The lock is held.
void SettingsRegistry::complain(const std::vector<RefusedOverride>& refused) {
    std::map<std::string, std::string> complaints;
    for (const RefusedOverride& each : refused) {
        for (const std::string& name : each.why.keys) {
            if (known_.contains(name)) complaints.emplace(name, each.why.message);
        }
    }
    for (const auto& [name, why] : complaints) {
        const auto told = complaints_.find(name);
        if (told != complaints_.end() && told->second == why) continue;
        conf::log_error("setting changed at run time is ignored setting={} reason=\"{}\"",
                        conf::printable(name), conf::printable(why));
    }
    complaints_ = std::move(complaints);
}

Result<std::vector<FieldProblem>> SettingsRegistry::change(const Json& patch) {
    conf::Settings file;
    {
        const std::lock_guard lock(mutex_);
        file = file_;
    }
    PatchedOverrides made;
    const auto decide = [&](std::span<const storage::SettingRecord> rows) {
        made = patch_overrides(file, overrides_of(rows), patch);
        return made.problems.empty() ? made.changes : std::vector<storage::SettingChange>();
    };
    const auto changed = catalog_->change_settings(decide, std::time(nullptr));
    if (!changed) return std::unexpected(changed.error());
    if (!made.problems.empty()) return std::move(made.problems);
    fault_point("settings.kept");
    for (const storage::SettingChange& each : made.changes) {
        conf::log_info("setting changed setting={} value={}", each.name,
                       each.value ? *each.value : "the file's");
    }
    const std::lock_guard lock(mutex_);
    known_ = std::move(made.all);
    return std::vector<FieldProblem>();
}

}  // namespace tidepool::api
