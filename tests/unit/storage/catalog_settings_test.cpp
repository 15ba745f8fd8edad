// Settings that were changed at run time, as the catalog keeps them.
#include "tests/support/catalog_backends.h"

#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::value_of;

namespace {

constexpr std::int64_t kThen = 1'700'000'000;

void change(Catalog& catalog, const std::vector<SettingChange>& changes, std::int64_t now_s) {
    value_of(catalog.change_settings([&](auto) { return changes; }, now_s));
}

}  // namespace

CATALOG_TEST("settings are changed, changed again and taken back, also over a restart",
             "[settings]") {
    const TestType backend;
    {
        const auto catalog = backend.open();
        CHECK(value_of(catalog->settings()).empty());
        change(*catalog, {{"tiering.enabled", "true"}, {"limits.headers", "\"64KiB\""}}, kThen);
    }
    const auto catalog = backend.open();
    const std::vector<SettingRecord> both{{"limits.headers", "\"64KiB\"", kThen},
                                          {"tiering.enabled", "true", kThen}};
    CHECK(value_of(catalog->settings()) == both);
    change(*catalog, {{"limits.headers", {}}, {"tiering.enabled", "false"}, {"no.such", {}}},
           kThen + 1);
    const std::vector<SettingRecord> one{{"tiering.enabled", "false", kThen + 1}};
    CHECK(value_of(catalog->settings()) == one);
}

CATALOG_TEST("what is to be changed is decided by what is there", "[settings]") {
    const TestType backend;
    const auto catalog = backend.open();
    const auto other = backend.open();
    change(*other, {{"a", "1"}}, kThen);
    std::vector<SettingRecord> seen;
    const auto decide = [&](std::span<const SettingRecord> rows) {
        seen.assign(rows.begin(), rows.end());
        return std::vector<SettingChange>{{"b", rows.front().value + "2"}};
    };
    value_of(catalog->change_settings(decide, kThen + 1));
    CHECK(seen == std::vector<SettingRecord>{{"a", "1", kThen}});
    CHECK(value_of(other->settings()) ==
          std::vector<SettingRecord>{{"a", "1", kThen}, {"b", "12", kThen + 1}});
}

CATALOG_TEST("other processes notice that settings have changed, and only that", "[settings]") {
    const TestType backend;
    const auto catalog = backend.open();
    const auto other = backend.open();
    const std::uint64_t before = value_of(other->foreign_changes());
    const std::uint64_t ours = value_of(catalog->foreign_changes());
    change(*catalog, {}, kThen);
    CHECK(value_of(other->foreign_changes()) == before);
    change(*catalog, {{"a", "1"}, {"b", "1"}}, kThen);
    CHECK(value_of(other->foreign_changes()) == before + 1);
    CHECK(value_of(catalog->foreign_changes()) == ours);
}
