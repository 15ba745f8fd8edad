// The settings that the rules of a zone are made from: those of the file, with the pools that the
// catalog knows beside them.
#pragma once

#include "conf/settings.h"
#include "proxy/cli/edge.h"
#include "proxy/edge/zone_rules.h"

#include <expected>
#include <string>
#include <vector>

namespace tidepool::cli {

struct ZoneSetup {
    conf::Settings settings;
    std::vector<conf::PoolSettings> pools;  // that are in force
    edge::ZoneFacts facts;
    edge::ZoneOptions options;
    std::string zone_id;  // "" = it is not known
};

// What is wrong was written to standard error; the error is the exit status. A catalog that there
// is not is not made.
std::expected<ZoneSetup, int> read_zone_setup(const ZoneArguments& arguments);

// Whether the catalog that the settings name is there.
bool has_catalog_file(const conf::Settings& settings);

// The same, with rules; 2 where there would be none.
std::expected<edge::ZoneRules, int> rules_of_setup(const ZoneSetup& setup);

}  // namespace tidepool::cli
