// Claims in SQLite.
#include "storage/catalog_sqlite.h"

namespace tidepool::storage {

namespace {

constexpr const char* kClaim =
    "INSERT INTO claims VALUES (?1, ?2, ?4) ON CONFLICT (work) DO UPDATE "
    "SET owner = ?2, until_ms = ?4 WHERE owner = ?2 OR until_ms <= ?3";
// Of those who died with one.
constexpr const char* kForgetClaims = "DELETE FROM claims WHERE until_ms < ?1";
constexpr const char* kRelease = "DELETE FROM claims WHERE work = ?1 AND owner = ?2";

constexpr std::int64_t kForgetAfterMs = 3'600'000;

}  // namespace

Result<bool> SqliteCatalog::claim(std::string_view work, std::string_view owner,
                                  std::int64_t now_ms, std::int64_t until_ms) {
    return write(
        [&](Writing& writing) {
            const bool is_ours = sqlite::run(writing.db, kClaim, work, owner, now_ms, until_ms) > 0;
            if (is_ours) sqlite::run(writing.db, kForgetClaims, now_ms - kForgetAfterMs);
            return is_ours;
        },
        sqlite::Durability::soon);
}

Result<void> SqliteCatalog::release(std::string_view work, std::string_view owner) {
    return write([&](Writing& writing) { sqlite::run(writing.db, kRelease, work, owner); },
                 sqlite::Durability::soon);
}

}  // namespace tidepool::storage
