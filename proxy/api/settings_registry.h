// Which settings are in force: those of the configuration file, and what was changed of them at run
// time, which the catalog keeps.
#pragma once

#include "conf/error.h"
#include "conf/settings.h"
#include "proxy/api/pool_json.h"
#include "proxy/api/setting_overrides.h"
#include "storage/catalog.h"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace tidepool::api {

struct SettingsInForce {
    conf::Settings settings;
    std::vector<std::string> overridden{};  // names of what does not stand in the file
    bool operator==(const SettingsInForce&) const = default;
};

// Safe from any thread; calls block on the catalog where they do not say otherwise.
class SettingsRegistry {
  public:
    // `catalog` outlives it; null: there are the file's settings and no others.
    SettingsRegistry(const conf::Settings& file, storage::Catalog* catalog);

    // Takes another file's settings. Never blocks.
    void use_file(const conf::Settings& file);

    // The file's settings with what was changed. What of that cannot be, since the file or this
    // program now contradicts it, is left out, and the log says so, once. Where the catalog cannot
    // be read, what was read last is what was changed.
    SettingsInForce load();

    // Makes a change (see patch_overrides) and keeps it, so that load() gives it here and in every
    // process of this catalog. Gives what is wrong with it: then, and where the catalog fails,
    // nothing is changed. There must be a catalog.
    Result<std::vector<FieldProblem>> change(const Json& patch);

  private:
    void complain(const std::vector<RefusedOverride>& refused);

    storage::Catalog* const catalog_;
    std::mutex mutex_;
    conf::Settings file_;
    Overrides known_;                                // as they were read last
    std::map<std::string, std::string> complaints_;  // what the log was told last, by name
};

}  // namespace tidepool::api
