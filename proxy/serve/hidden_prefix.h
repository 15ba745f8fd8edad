// What the edge is to forget where only a signed URL opens images below a prefix from now on. Pure.
#pragma once

#include "conf/settings.h"
#include "storage/catalog_records.h"
#include "storage/known_pool.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tidepool::serve {

// Of the prefixes that are private `now`, those below which images were public, all or some.
std::vector<std::string> newly_private(std::span<const std::string> before,
                                       std::span<const std::string> now);

// Whole folders, with the variants of what is in them, on all hosts and of all buckets: the edge
// knows no other beginnings of paths. Nothing: there is no prefix, no zone, or no host that is
// known.
std::optional<storage::NewJob> hidden_prefix_purge(const conf::Settings& settings,
                                                   std::span<const storage::KnownPool> pools,
                                                   std::span<const std::string> prefixes,
                                                   std::int64_t now_s);

}  // namespace tidepool::serve
