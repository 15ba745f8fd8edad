// Settings that were changed at run time, over those of the configuration file. What may be
// changed, to what, and what is said of mistakes is the file's own schema. Pure.
#pragma once

#include "conf/problem.h"
#include "conf/settings.h"
#include "proxy/api/pool_json.h"
#include "storage/catalog_records.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::api {

// Values as they are written in the file, by "SECTION.KEY".
using Overrides = std::map<std::string, Json>;

// The sections that can be changed, which are those that a reload takes over: see after_reload().
std::span<const std::string_view> changeable_sections();

// As the catalog keeps them. What is no JSON there is kept as something that no setting can be.
Overrides overrides_of(std::span<const storage::SettingRecord> rows);

// Overrides that are left out.
struct RefusedOverride {
    conf::Finding why;  // its keys are those that are wrong, or all that contradict each other
    // What was left out in an earlier round may be what this one lacks. 0: it cannot be read at
    // all.
    unsigned round = 0;
};

struct OverriddenSettings {
    conf::Settings settings;
    std::vector<std::string> names;        // of the overrides that are in force
    std::vector<RefusedOverride> refused;  // in the order of their rounds
};

// The file's settings with what was changed. An override that is no setting, not of its type or out
// of range is left out alone; where some contradict the file or each other, those which take part
// are left out together, and the file's values hold. What is left is right as a whole: the file
// must be.
OverriddenSettings override_settings(const conf::Settings& file, Overrides overrides);

// What a change makes of the overrides. Where there are problems it is not to be made.
struct PatchedOverrides {
    Overrides all;
    std::vector<storage::SettingChange> changes;  // to be written; what stays the same is not there
    std::vector<FieldProblem> problems;           // all of them, by field
};

// A JSON merge patch (RFC 7396) of {SECTION: {KEY: VALUE}}; null takes a key's, or a section's,
// changes back. Overrides that were wrong before and are not named do not keep it from being made.
// One that no present setting has can be taken back, too.
PatchedOverrides patch_overrides(const conf::Settings& file, const Overrides& known,
                                 const Json& patch);

}  // namespace tidepool::api
