#include "proxy/api/pool_stats.h"

#include "proxy/api/query_fields.h"

#include <utility>

namespace tidepool::api {

namespace {

Json removals_json(const storage::RemovalCount& removal) {
    return {{"count", removal.count}, {"bytes", removal.bytes}};
}

}  // namespace

storage::Account PoolStats::account(storage::Role role) const {
    const auto found = accounts.find(role);
    return found == accounts.end() ? storage::Account{} : found->second;
}

std::uint64_t PoolStats::bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [role, account] : accounts)
        sum += account.bytes;
    return sum;
}

std::string PoolStats::type() const {
    return pool != nullptr ? std::string(name_of(pool->settings.storage_type)) : "?";
}

std::string PoolStats::tier() const {
    return pool != nullptr ? std::string(name_of(pool->settings.storage_tier)) : "?";
}

Result<std::vector<PoolStats>> gather_stats(storage::Catalog& catalog,
                                            std::span<const storage::KnownPool> pools) {
    const auto rows = catalog.pools();
    if (!rows) return std::unexpected(rows.error());
    const auto accounts = catalog.accounts();
    if (!accounts) return std::unexpected(accounts.error());
    const auto pending = storage::pending_removals(catalog);
    if (!pending) return std::unexpected(pending.error());

    std::map<storage::PoolId, std::string> names;
    for (const storage::PoolRecord& row : *rows)
        names[row.id] = row.name;
    std::vector<PoolStats> all;
    std::map<storage::PoolId, std::size_t> index;
    const auto stats_of = [&](storage::PoolId id) -> PoolStats& {
        const auto [at, made] = index.try_emplace(id, all.size());
        if (made) {
            const auto name = names.find(id);
            all.push_back({.name = name == names.end() ? "?" : name->second});
        }
        return all[at->second];
    };
    for (const storage::KnownPool& pool : pools)
        stats_of(pool.id).pool = &pool;
    for (const storage::Account& account : *accounts)
        stats_of(account.pool).accounts[account.role] = account;
    for (const auto& [pool, removals] : *pending)
        stats_of(pool).pending = removals;
    return all;
}

Json stats_json(const std::vector<PoolStats>& all) {
    Json pools = Json::array();
    for (const PoolStats& stats : all) {
        Json json{
            {"pool", stats.name}, {"storage_type", stats.type()}, {"storage_tier", stats.tier()}};
        for (const storage::Role role : kStatsRoles) {
            const storage::Account account = stats.account(role);
            json[std::string(storage::name_of(role))] = {{"count", account.count},
                                                         {"bytes", account.bytes}};
        }
        json["used_bytes"] = stats.bytes();
        json["pending_deletions"] = removals_json(stats.pending.deleted);
        json["leftovers"] = removals_json(stats.pending.leftovers);
        if (stats.hidden) json["hidden_versions"] = removals_json(*stats.hidden);
        json["max_size"] = stats.pool != nullptr && stats.pool->settings.max_size_bytes > 0
                               ? Json(stats.pool->settings.max_size_bytes)
                               : Json(nullptr);
        pools.push_back(std::move(json));
    }
    return pools;
}

ApiAnswer answer_stats(storage::Catalog& catalog, std::span<const storage::KnownPool> pools,
                       const ApiCall& call) {
    if (auto wrong = check_fields(call.query, {})) return std::move(*wrong);
    const auto stats = gather_stats(catalog, pools);
    if (!stats) return api_error(stats.error());
    return {.status = 200, .body = text_of({{"pools", stats_json(*stats)}}), .fields = {}};
}

}  // namespace tidepool::api
