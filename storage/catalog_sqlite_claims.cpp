// Claims in SQLite.
#include "storage/catalog_sqlite.h"

namespace tidepool::storage {

namespace {

constexpr const char* kFindClaim = "SELECT owner, until_ms FROM claims WHERE work = ?1";
constexpr const char* kClaim = "INSERT OR REPLACE INTO claims VALUES (?1, ?2, ?3)";
// Of those who died with one.
constexpr const char* kForgetClaims = "DELETE FROM claims WHERE until_ms < ?1";
constexpr const char* kRelease = "DELETE FROM claims WHERE work = ?1 AND owner = ?2";

constexpr std::int64_t kForgetAfterMs = 3'600'000;

}  // namespace

Result<bool> SqliteCatalog::claim(std::string_view work, std::string_view owner,
                                  std::int64_t now_ms, std::int64_t until_ms,
                                  const std::function<bool(std::string_view)>& has_ended) {
    const auto is_others = [&](sqlite::Connection& db) {
        sqlite::Query query(db, kFindClaim, work);
        if (!query.next() || query.text(0) == owner) return false;
        const std::int64_t others_ms = query.number(1);
        if (others_ms <= now_ms || others_ms > until_ms + kClaimSlackMs) return false;
        return !has_ended || !has_ended(query.text(0));
    };
    return write(
        [&](Writing& writing) {
            if (is_others(writing.db)) return false;
            sqlite::run(writing.db, kClaim, work, owner, until_ms);
            sqlite::run(writing.db, kForgetClaims, now_ms - kForgetAfterMs);
            return true;
        },
        sqlite::Durability::soon);
}

Result<void> SqliteCatalog::release(std::string_view work, std::string_view owner) {
    return write([&](Writing& writing) { sqlite::run(writing.db, kRelease, work, owner); },
                 sqlite::Durability::soon);
}

}  // namespace tidepool::storage
