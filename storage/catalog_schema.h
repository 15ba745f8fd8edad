// The tables of the catalog, and how an older one is brought up to date.
#pragma once

#include "storage/sqlite.h"

namespace tidepool::storage {

// In the file's header, so that another program's database is not taken for ours: "tide".
inline constexpr std::int64_t kCatalogApplicationId = 0x74696465;

// The version that this program writes: the number of migrations.
int catalog_schema_version();

// Makes the tables of a new catalog or runs the migrations that an older one lacks, each in a
// transaction of its own; several processes may do so at once. Throws sqlite::Failure
// (misconfigured) for another program's database and for a catalog of a newer version.
void migrate_catalog(sqlite::Connection& connection);

// Whether migrate_catalog could do so. Changes nothing, and throws the same.
void check_catalog(sqlite::Connection& connection);

}  // namespace tidepool::storage
