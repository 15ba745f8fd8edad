// What each pool holds, for `tidepool stats` and the admin API.
#pragma once

#include "proxy/api/api_answer.h"
#include "proxy/api/pool_json.h"
#include "storage/catalog.h"
#include "storage/known_pool.h"
#include "storage/pending_removals.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidepool::api {

inline constexpr std::string_view kStatsPath = "/api/admin/v1/stats";

inline constexpr std::array kStatsRoles{storage::Role::original, storage::Role::variant,
                                        storage::Role::backup};

struct PoolStats {
    std::string name;
    const storage::KnownPool* pool = nullptr;  // null: there is no such pool any more
    std::map<storage::Role, storage::Account> accounts{};
    storage::PendingRemovals pending{};
    std::optional<storage::RemovalCount> hidden{};  // nothing: not asked for

    storage::Account account(storage::Role role) const;
    std::uint64_t bytes() const;
    std::string type() const;  // "?" where that is not known
    std::string tier() const;
};

// Of `pools`, in their order, which outlive the result, then of what else has something. Blocks on
// the catalog.
Result<std::vector<PoolStats>> gather_stats(storage::Catalog& catalog,
                                            std::span<const storage::KnownPool> pools);

Json stats_json(const std::vector<PoolStats>& all);

// GET alone.
ApiAnswer answer_stats(storage::Catalog& catalog, std::span<const storage::KnownPool> pools,
                       const ApiCall& call);

}  // namespace tidepool::api
