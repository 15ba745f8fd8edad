#include "proxy/serve/tier_work.h"

#include "tests/support/catalog_backends.h"

#include <chrono>
#include <ctime>
#include <future>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using test::value_of;

namespace {

storage::KnownPool pool(storage::Catalog& catalog, const std::string& name, storage::Tier tier) {
    storage::KnownPool known;
    known.settings.name = name;
    known.settings.base_path = "/tmp";  // it is only asked how much room there is
    known.settings.storage_tier = tier;
    known.id = test::make_pool(catalog, name);
    return known;
}

}  // namespace

TEST_CASE("tier work: what is turned on by a reload is done at once", "[serve][tiering]") {
    test::SqliteBackend backend;
    const auto catalog = backend.open();
    storage::DriverSet drivers(*catalog, "uploads/");
    const auto hot = pool(*catalog, "hot", storage::Tier::hot);
    drivers.use_pools({hot, pool(*catalog, "cold", storage::Tier::cold)});
    value_of(catalog->put_object(test::make_object(
        "uploads/original/2023/11/14/0b1f6c2e-9a7d-4c55-8a3e-1234567890ab.jpg", hot.id)));
    conf::TieringSettings settings;
    settings.sweep_interval = std::chrono::hours(1);
    std::promise<void> queued;
    TierWork work(settings, *catalog, drivers, [&] { queued.set_value(); });
    work.start();
    settings.enabled = true;
    work.change(settings);
    REQUIRE(queued.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready);
    const TierWork::Counters counters = work.counters();
    CHECK(counters.sweeps == 1);
    CHECK(counters.failed == 0);
    CHECK(counters.planned == 1);
    CHECK(counters.queued[static_cast<std::size_t>(storage::TierReason::idle)] == 1);
    CHECK(counters.queued_bytes == 100);
    CHECK_FALSE(counters.is_stopped);
    // Another process has its turn when the interval is nearly over.
    const std::int64_t now_ms = static_cast<std::int64_t>(std::time(nullptr)) * 1000;
    const auto turn = [&](std::int64_t at_ms) {
        return value_of(catalog->claim("tiering turn", "other", at_ms, at_ms + 3'240'000));
    };
    CHECK_FALSE(turn(now_ms));
    CHECK(turn(now_ms + 3'600'000));
    work.stop();
}
