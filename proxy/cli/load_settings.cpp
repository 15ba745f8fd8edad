#include "proxy/cli/load_settings.h"

#include "conf/settings_reader.h"
#include "conf/shared_folders.h"

#include <filesystem>
#include <vector>

#include <fmt/format.h>

namespace tidepool::cli {

namespace {

void print(const std::vector<conf::Problem>& problems) {
    for (const conf::Problem& problem : problems)
        fmt::print(stderr, "{}\n", problem.text());
}

// The addresses of a repeatable option, or nothing and a message.
bool override_addresses(const std::vector<std::string>& texts, const char* option,
                        std::vector<conf::ListenAddress>& addresses) {
    if (texts.empty()) return true;
    addresses.clear();
    for (const std::string& text : texts) {
        const auto address = conf::parse_listen_address(text);
        if (!address) {
            fmt::print(stderr, "{} {}: {}\n", option, text, address.error().text);
            return false;
        }
        addresses.push_back(*address);
    }
    return true;
}

conf::PoolSettings pool_of_root(const std::string& root) {
    conf::PoolSettings pool;
    pool.name = "hot";
    pool.base_path = std::filesystem::absolute(root).lexically_normal().string();
    return pool;
}

// All local state in one folder, for trying things out and for several servers on one machine.
// Without a file and without such a folder nothing is written anywhere. What the file says there
// shall be none of, there is none of.
void place_state(const ServeOptions& options, conf::Settings& settings) {
    if (!options.state_dir.empty()) {
        const std::string folder =
            std::filesystem::absolute(options.state_dir).lexically_normal().string();
        if (!settings.catalog.url.empty())
            settings.catalog.url = "sqlite:" + folder + "/catalog.db";
        if (!settings.shelf.path.empty()) settings.shelf.path = folder + "/shelf";
        settings.upload.spool_path = folder + "/spool";
    } else if (!options.root.empty()) {
        settings.catalog.url.clear();
        settings.shelf.path.clear();
        settings.variants.on_demand = false;
    }
}

}  // namespace

std::optional<conf::Settings> load_settings(const ServeOptions& options) {
    conf::Settings settings;
    if (!options.config.empty()) {
        conf::ReadSettings read = conf::read_settings_file(options.config);
        print(read.problems);
        if (!read.problems.empty()) return std::nullopt;
        settings = std::move(read.settings);
    }
    if (!options.root.empty()) settings.pools = {pool_of_root(options.root)};
    place_state(options, settings);
    if (!override_addresses(options.listen, "--listen", settings.server.listen) ||
        !override_addresses(options.admin_listen, "--admin-listen", settings.admin.listen)) {
        return std::nullopt;
    }
    std::vector<conf::Problem> problems = conf::check_settings(settings);
    if (problems.empty()) {
        for (conf::Finding& finding : conf::find_shared_folders(settings))
            problems.push_back({options.config, 0, 0, std::move(finding.keys.front()),
                                std::move(finding.message)});
    }
    print(problems);
    if (!problems.empty()) return std::nullopt;
    return settings;
}

}  // namespace tidepool::cli
