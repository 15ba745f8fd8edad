#include "proxy/api/settings_registry.h"

#include "tests/support/catalog_backends.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;
using test::value_of;
using Names = std::vector<std::string>;

namespace {

conf::Settings file_with_ranges(unsigned ranges) {
    conf::Settings file;
    conf::PoolSettings pool;
    pool.name = "hot";
    pool.base_path = "/srv/uploads";
    file.pools = {pool};
    file.limits.ranges = ranges;
    return file;
}

std::vector<FieldProblem> change(SettingsRegistry& registry, const char* patch) {
    return value_of(registry.change(Json::parse(patch)));
}

}  // namespace

TEST_CASE("settings registry: without a catalog there is the file", "[api][settings]") {
    SettingsRegistry registry(file_with_ranges(5), nullptr);
    CHECK(registry.load() == SettingsInForce{file_with_ranges(5)});
    registry.use_file(file_with_ranges(6));
    CHECK(registry.load().settings.limits.ranges == 6);
}

CATALOG_TEST("settings registry: a change outlasts the process and another file",
             "[api][settings]") {
    const TestType backend;
    {
        const auto catalog = backend.open();
        SettingsRegistry registry(file_with_ranges(5), catalog.get());
        CHECK(change(registry, R"({"limits": {"ranges": 7, "connections": 900}})").empty());
        CHECK(registry.load().settings.limits.ranges == 7);
    }
    const auto catalog = backend.open();
    SettingsRegistry registry(file_with_ranges(5), catalog.get());
    CHECK(registry.load().overridden == Names{"limits.connections", "limits.ranges"});
    registry.use_file(file_with_ranges(6));
    CHECK(registry.load().settings.limits.ranges == 7);
    CHECK(change(registry, R"({"limits": {"ranges": null}})").empty());
    CHECK(registry.load().settings.limits.ranges == 6);
    CHECK(registry.load().overridden == Names{"limits.connections"});
}

CATALOG_TEST("settings registry: a mistake changes nothing", "[api][settings]") {
    const TestType backend;
    const auto catalog = backend.open();
    SettingsRegistry registry(file_with_ranges(5), catalog.get());
    const std::uint64_t before = value_of(backend.open()->foreign_changes());
    const auto problems = change(registry, R"({"limits": {"ranges": 7, "connections": 0}})");
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].field == "limits.connections");
    CHECK(registry.load() == SettingsInForce{file_with_ranges(5)});
    CHECK(value_of(catalog->settings()).empty());
    CHECK(value_of(backend.open()->foreign_changes()) == before);
}

CATALOG_TEST("settings registry: two processes cannot contradict each other", "[api][settings]") {
    const TestType backend;
    const auto catalog = backend.open();
    const auto other_catalog = backend.open();
    SettingsRegistry registry(file_with_ranges(5), catalog.get());
    SettingsRegistry other(file_with_ranges(5), other_catalog.get());
    other.load();  // before the change, of which it has not heard
    CHECK(change(registry, R"({"tiering": {"hot_watermark_low": 84}})").empty());
    CHECK(change(other, R"({"tiering": {"hot_watermark_high": 80}})").size() == 1);
    CHECK(other.load().overridden == Names{"tiering.hot_watermark_low"});
}

CATALOG_TEST("settings registry: what the file has come to contradict is left out until it fits",
             "[api][settings]") {
    const TestType backend;
    const auto catalog = backend.open();
    SettingsRegistry registry(file_with_ranges(5), catalog.get());
    CHECK(change(registry, R"({"tiering": {"hot_watermark_low": 84}, "limits": {"ranges": 7}})")
              .empty());
    conf::Settings file = file_with_ranges(5);
    file.tiering.hot_watermark_low = 50;
    file.tiering.hot_watermark_high = 60;
    registry.use_file(file);
    const SettingsInForce loaded = registry.load();
    CHECK(loaded.overridden == Names{"limits.ranges"});
    CHECK(loaded.settings.tiering == file.tiering);
    registry.use_file(file_with_ranges(5));
    CHECK(registry.load().settings.tiering.hot_watermark_low == 84);
}
