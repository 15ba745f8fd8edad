// Calls of the API that are not to be done twice, in SQLite.
#include "storage/catalog_sqlite.h"

#include <algorithm>

namespace tidepool::storage {

namespace {

using sqlite::Query;
using sqlite::run;

constexpr const char* kFindCall =
    "SELECT request, status, answer, process, begun_s FROM calls WHERE name = ?1";
constexpr const char* kBeginCall = "INSERT OR REPLACE INTO calls VALUES (?1, ?2, 0, x'', ?3, ?4)";
constexpr const char* kEndCall =
    "UPDATE calls SET status = ?4, answer = ?5 "
    "WHERE name = ?1 AND process = ?2 AND begun_s = ?3 AND status = 0";
constexpr const char* kDropCall =
    "DELETE FROM calls WHERE name = ?1 AND process = ?2 AND begun_s = ?3 AND status = 0";
constexpr const char* kForgetCalls = "DELETE FROM calls WHERE begun_s < ?1";
constexpr const char* kCountCalls = "SELECT count(*) FROM calls";
constexpr const char* kForgetOldestCalls =
    "DELETE FROM calls WHERE name IN (SELECT name FROM calls ORDER BY begun_s LIMIT ?1)";

std::string_view text_of(std::span<const std::uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<SavedCall> find_call(sqlite::Connection& db, const conf::Sha256Digest& name) {
    Query query(db, kFindCall, name);
    if (!query.next()) return std::nullopt;
    SavedCall call{.name = name,
                   .status = static_cast<int>(query.number(1)),
                   .answer = std::string(text_of(query.blob(2))),
                   .process = std::string(query.text(3)),
                   .begun_s = query.number(4)};
    const auto request = query.blob(0);
    std::copy_n(request.begin(), std::min(request.size(), call.request.size()),
                call.request.begin());
    return call;
}

void make_room(sqlite::Connection& db) {
    std::size_t count = 0;
    {
        Query query(db, kCountCalls);
        if (query.next()) count = static_cast<std::size_t>(query.number(0));
    }
    if (count >= Catalog::kMostSavedCalls)
        run(db, kForgetOldestCalls, count - Catalog::kMostSavedCalls + 1);
}

}  // namespace

Result<std::optional<SavedCall>> SqliteCatalog::begin_call(
    const SavedCall& call, const std::function<bool(std::string_view)>& has_ended,
    std::int64_t expired_s) {
    return write([&](Writing& writing) -> std::optional<SavedCall> {
        auto known = find_call(writing.db, call.name);
        if (known) {
            const bool is_lost = known->status == 0 && has_ended(known->process);
            if (!is_lost && known->begun_s >= expired_s) return known;
        } else {
            make_room(writing.db);
        }
        run(writing.db, kBeginCall, call.name, call.request, call.process, call.begun_s);
        return std::nullopt;
    });
}

Result<void> SqliteCatalog::end_call(const SavedCall& call) {
    return write([&](Writing& writing) {
        run(writing.db, kEndCall, call.name, call.process, call.begun_s, call.status,
            std::as_bytes(std::span(call.answer)));
    });
}

Result<void> SqliteCatalog::drop_call(const SavedCall& call) {
    return write([&](Writing& writing) {
        run(writing.db, kDropCall, call.name, call.process, call.begun_s);
    });
}

Result<std::size_t> SqliteCatalog::forget_calls(std::int64_t before_s) {
    return write([&](Writing& writing) { return run(writing.db, kForgetCalls, before_s); },
                 sqlite::Durability::soon);
}

}  // namespace tidepool::storage
