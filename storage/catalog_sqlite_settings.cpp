// Settings that were changed at run time, in SQLite.
#include "conf/fault_point.h"
#include "storage/catalog_sqlite.h"

namespace tidepool::storage {

namespace {

constexpr const char* kSettings = "SELECT name, value, changed_s FROM settings ORDER BY name";
constexpr const char* kPutSetting = "INSERT OR REPLACE INTO settings VALUES (?1, ?2, ?3)";
constexpr const char* kDropSetting = "DELETE FROM settings WHERE name = ?1";

std::vector<SettingRecord> read_settings(sqlite::Connection& db) {
    std::vector<SettingRecord> settings;
    sqlite::Query query(db, kSettings);
    while (query.next()) {
        settings.push_back({.name = std::string(query.text(0)),
                            .value = std::string(query.text(1)),
                            .changed_s = query.number(2)});
    }
    return settings;
}

}  // namespace

Result<std::vector<SettingRecord>> SqliteCatalog::settings() {
    return read([](sqlite::Connection& db) { return read_settings(db); });
}

Result<void> SqliteCatalog::change_settings(const DecideSettings& decide, std::int64_t now_s) {
    return write([&](Writing& writing) {
        const std::vector<SettingChange> changes = decide(read_settings(writing.db));
        for (const SettingChange& change : changes) {
            if (change.value) {
                sqlite::run(writing.db, kPutSetting, change.name, *change.value, now_s);
            } else {
                sqlite::run(writing.db, kDropSetting, change.name);
            }
            fault_point("settings.row");
        }
        if (!changes.empty()) writing.note_change();
    });
}

}  // namespace tidepool::storage
