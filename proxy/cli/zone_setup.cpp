#include "proxy/cli/zone_setup.h"

#include "conf/host_pattern.h"
#include "conf/quote.h"
#include "conf/text_rules.h"
#include "proxy/cli/load_settings.h"
#include "proxy/cli/workspace.h"

#include <filesystem>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

std::expected<std::vector<conf::PoolSettings>, int> pools_in_force(const ZoneArguments& arguments,
                                                                   const conf::Settings& settings) {
    if (!has_catalog_file(settings)) return settings.pools;
    CommonOptions options;
    options.config = arguments.config;
    options.state_dir = arguments.state_dir;
    const auto workspace = Workspace::open(options);
    if (!workspace) return std::unexpected(workspace.error());
    std::vector<conf::PoolSettings> pools;
    for (const KnownPool& pool : workspace->pools())
        pools.push_back(pool.settings);
    return pools;
}

}  // namespace

bool has_catalog_file(const conf::Settings& settings) {
    constexpr std::string_view kSqlite = "sqlite:";
    if (!settings.catalog.url.starts_with(kSqlite)) return false;
    std::error_code ignored;
    return std::filesystem::exists(settings.catalog.url.substr(kSqlite.size()), ignored);
}

std::expected<ZoneSetup, int> read_zone_setup(const ZoneArguments& arguments) {
    ZoneSetup setup;
    const auto plan = edge::parse_zone_plan(arguments.plan);
    if (!plan)
        return std::unexpected(wrong_use(
            {ErrorKind::invalid, "--plan: there are free, pro, business and enterprise"}));
    setup.options = {.address = arguments.address, .plan = *plan};
    if (conf::has_control_character(arguments.address))
        return std::unexpected(
            wrong_use({ErrorKind::invalid, "--address holds a control character"}));
    for (const std::string& host : arguments.hosts) {
        if (const std::string wrong = conf::wrong_in_host_pattern(host); !wrong.empty())
            return std::unexpected(wrong_use({ErrorKind::invalid, "--host: " + wrong}));
    }
    if (const std::string wrong = conf::wrong_in_zone_id(arguments.zone); !wrong.empty())
        return std::unexpected(wrong_use({ErrorKind::invalid, "--zone: " + wrong}));
    ServeOptions files;
    files.config = arguments.config;
    files.state_dir = arguments.state_dir;
    auto settings = load_settings(files);
    if (!settings) return std::unexpected(2);
    auto pools = pools_in_force(arguments, *settings);
    if (!pools) return std::unexpected(pools.error());
    setup.facts = edge::zone_facts(*settings, *pools, arguments.hosts);
    setup.zone_id = arguments.zone.empty() ? settings->purge.zone_id : arguments.zone;
    setup.settings = std::move(*settings);
    setup.pools = std::move(*pools);
    return setup;
}

std::expected<edge::ZoneRules, int> rules_of_setup(const ZoneSetup& setup) {
    edge::ZoneRules rules = edge::zone_rules(setup.facts, setup.options);
    if (!rules.rules.empty()) return rules;
    return std::unexpected(
        wrong_use({ErrorKind::invalid, fmt::format("there is nothing to make rules of: {}",
                                                   fmt::join(rules.notes, "; "))}));
}

}  // namespace tidepool::cli
