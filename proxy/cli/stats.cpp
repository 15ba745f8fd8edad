// tidepool stats: what each pool holds.
#include "proxy/api/pool_json.h"
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"
#include "storage/pending_removals.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace tidepool::cli {

namespace {

using storage::Account;
using storage::PoolId;
using storage::Role;

constexpr std::array kRoles{Role::original, Role::variant, Role::backup};

struct StatsArguments : CommonOptions {
    bool recount = false;
    bool versions = false;
};

struct PoolStats {
    std::string name;
    const KnownPool* pool = nullptr;  // null: not in the configuration
    std::map<Role, Account> accounts{};
    storage::PendingRemovals pending{};
    std::optional<storage::RemovalCount> hidden{};  // nothing: not asked for

    std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const auto& [role, account] : accounts)
            sum += account.bytes;
        return sum;
    }
    std::string type() const {
        return pool != nullptr ? std::string(api::name_of(pool->settings.storage_type)) : "?";
    }
    std::string tier() const {
        return pool != nullptr ? std::string(api::name_of(pool->settings.storage_tier)) : "?";
    }
};

// By pool: those of the file, in its order, then what else has something.
std::vector<PoolStats> gather(Workspace& workspace, const std::vector<Account>& accounts,
                              const std::map<PoolId, storage::PendingRemovals>& pending) {
    std::vector<PoolStats> all;
    std::map<PoolId, std::size_t> index;
    const auto stats_of = [&](PoolId id) -> PoolStats& {
        const auto [at, made] = index.try_emplace(id, all.size());
        if (made) all.push_back({.name = workspace.pool_name(id), .pool = workspace.find_pool(id)});
        return all[at->second];
    };
    for (const KnownPool& pool : workspace.pools())
        stats_of(pool.id);
    for (const Account& account : accounts)
        stats_of(account.pool).accounts[account.role] = account;
    for (const auto& [pool, removals] : pending)
        stats_of(pool).pending = removals;
    return all;
}

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

Json count_json(const storage::RemovalCount& removal) {
    return {{"count", removal.count}, {"bytes", removal.bytes}};
}

Json stats_json(const std::vector<PoolStats>& all) {
    Json pools = Json::array();
    for (const PoolStats& stats : all) {
        Json json{
            {"pool", stats.name}, {"storage_type", stats.type()}, {"storage_tier", stats.tier()}};
        for (const Role role : kRoles) {
            const auto found = stats.accounts.find(role);
            const Account account = found == stats.accounts.end() ? Account{} : found->second;
            json[std::string(storage::name_of(role))] = {{"count", account.count},
                                                         {"bytes", account.bytes}};
        }
        json["used_bytes"] = stats.bytes();
        json["pending_deletions"] = count_json(stats.pending.deleted);
        json["leftovers"] = count_json(stats.pending.leftovers);
        if (stats.hidden) json["hidden_versions"] = count_json(*stats.hidden);
        json["max_size"] = stats.pool != nullptr && stats.pool->settings.max_size_bytes > 0
                               ? Json(stats.pool->settings.max_size_bytes)
                               : Json(nullptr);
        pools.push_back(std::move(json));
    }
    return pools;
}

void print_text(const std::vector<PoolStats>& all) {
    fmt::print("{:<20} {:<6} {:<8}", "POOL", "TYPE", "TIER");
    for (const Role role : kRoles)
        fmt::print(" {:>11}S {:>11}", storage::name_of(role), "BYTES");
    fmt::print(" {:>11} {:>11}\n", "USED", "MAX");
    for (const PoolStats& stats : all) {
        fmt::print("{:<20} {:<6} {:<8}", stats.name, stats.type(), stats.tier());
        for (const Role role : kRoles) {
            const auto found = stats.accounts.find(role);
            const Account account = found == stats.accounts.end() ? Account{} : found->second;
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
    const auto accounts = workspace->catalog().accounts();
    if (!accounts) return failed(accounts.error(), arguments.json);
    std::optional<bool> balanced;
    if (arguments.recount) {
        const auto counted = workspace->catalog().recount();
        if (!counted) return failed(counted.error(), arguments.json);
        balanced = counted->balanced();
    }
    const auto pending = storage::pending_removals(workspace->catalog());
    if (!pending) return failed(pending.error(), arguments.json);
    std::vector<PoolStats> all = gather(*workspace, *accounts, *pending);
    if (arguments.versions) {
        if (auto counted = count_hidden(*workspace, all); !counted)
            return failed(counted.error(), arguments.json);
    }
    if (arguments.json) {
        Json json{{"pools", stats_json(all)}};
        if (balanced) json["balanced"] = *balanced;
        print_json(json);
    } else {
        print_text(all);
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
