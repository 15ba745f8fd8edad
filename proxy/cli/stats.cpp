// tidepool stats: what each pool holds.
#include "proxy/api/pool_stats.h"
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "storage/pending_removals.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using api::kStatsRoles;
using api::PoolStats;
using storage::Role;

struct StatsArguments : CommonOptions {
    bool recount = false;
    bool versions = false;
};

// Asks the buckets.
Result<void> count_hidden(Workspace& workspace, std::vector<PoolStats>& all) {
    for (PoolStats& stats : all) {
        const bool has_versions = stats.pool != nullptr && stats.pool->problem.empty() &&
                                  stats.pool->settings.storage_type == conf::PoolSettings::Type::s3;
        if (!has_versions) continue;
        const auto hidden = storage::hidden_versions(workspace.driver(*stats.pool));
        if (!hidden) return std::unexpected(hidden.error());
        stats.hidden = *hidden;
    }
    return {};
}

void print_text(const std::vector<PoolStats>& all) {
    fmt::print("{:<20} {:<6} {:<8}", "POOL", "TYPE", "TIER");
    for (const Role role : kStatsRoles)
        fmt::print(" {:>11}S {:>11}", storage::name_of(role), "BYTES");
    fmt::print(" {:>11} {:>11}\n", "USED", "MAX");
    for (const PoolStats& stats : all) {
        fmt::print("{:<20} {:<6} {:<8}", stats.name, stats.type(), stats.tier());
        for (const Role role : kStatsRoles) {
            const storage::Account account = stats.account(role);
            fmt::print(" {:>12} {:>11}", account.count, human_size(account.bytes));
        }
        const std::uint64_t most = stats.pool != nullptr ? stats.pool->settings.max_size_bytes : 0;
        fmt::print(" {:>11} {:>11}\n", human_size(stats.bytes()),
                   most == 0 ? "-" : human_size(most));
    }
    for (const PoolStats& stats : all) {
        const auto say = [&](const storage::RemovalCount& removal, const char* what) {
            if (removal.count > 0)
                fmt::print("{}: {} {}, {}\n", stats.name, removal.count, what,
                           human_size(removal.bytes));
        };
        say(stats.pending.deleted, "objects of images that are being deleted");
        say(stats.pending.leftovers, "objects that moves left behind, until move.grace has passed");
        if (stats.hidden) say(*stats.hidden, "hidden versions and markers, which the store bills");
    }
}

int stats(const StatsArguments& arguments) {
    auto workspace = Workspace::open(arguments);
    if (!workspace) return workspace.error();
    std::optional<bool> balanced;
    if (arguments.recount) {
        const auto counted = workspace->catalog().recount();
        if (!counted) return failed(counted.error(), arguments.json);
        balanced = counted->balanced();
    }
    auto all = api::gather_stats(workspace->catalog(), workspace->pools());
    if (!all) return failed(all.error(), arguments.json);
    if (arguments.versions) {
        if (auto counted = count_hidden(*workspace, *all); !counted)
            return failed(counted.error(), arguments.json);
    }
    if (arguments.json) {
        Json json{{"pools", api::stats_json(*all)}};
        if (balanced) json["balanced"] = *balanced;
        print_json(json);
    } else {
        print_text(*all);
        if (balanced) {
            fmt::print("{}\n", *balanced ? "recounted: the accounts equal the rows"
                                         : "recounted: the accounts do NOT equal the rows");
        }
    }
    return balanced.value_or(true) ? 0 : 1;
}

}  // namespace

Command add_stats(CLI::App& program) {
    auto arguments = std::make_shared<StatsArguments>();
    CLI::App& parser = *program.add_subcommand("stats", "Show what each pool holds, by role");
    add_common(parser, *arguments);
    parser.add_flag("--recount", arguments->recount,
                    "also count the rows; status 1 where the accounts differ");
    parser.add_flag("--versions", arguments->versions,
                    "also ask the buckets for hidden versions; a call for 1,000 versions");
    return {&parser, [arguments] { return stats(*arguments); }};
}

}  // namespace tidepool::cli
