// tidepool stats: what each pool holds.
#include "proxy/api/pool_json.h"
#include "proxy/cli/command.h"
#include "proxy/cli/output.h"
#include "proxy/cli/workspace.h"

#include <array>
#include <map>
#include <memory>

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
};

struct PoolStats {
    std::string name;
    const KnownPool* pool = nullptr;  // null: not in the configuration
    std::map<Role, Account> accounts;

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
std::vector<PoolStats> gather(Workspace& workspace, const std::vector<Account>& accounts) {
    std::vector<PoolStats> all;
    std::map<PoolId, std::size_t> index;
    const auto stats_of = [&](PoolId id) -> PoolStats& {
        const auto [at, made] = index.try_emplace(id, all.size());
        if (made) all.push_back({workspace.pool_name(id), workspace.find_pool(id), {}});
        return all[at->second];
    };
    for (const KnownPool& pool : workspace.pools())
        stats_of(pool.id);
    for (const Account& account : accounts)
        stats_of(account.pool).accounts[account.role] = account;
    return all;
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
    const std::vector<PoolStats> all = gather(*workspace, *accounts);
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
    return {&parser, [arguments] { return stats(*arguments); }};
}

}  // namespace tidepool::cli
