// What a sweep asks of the catalog's interface.
#include "tests/support/catalog_backends.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_pool;
using test::value_of;
using State = JobRecord::State;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;

Uuid uuid(unsigned number) {
    return parse_uuid(fmt::format("0b1f6c2e-9a7d-4c55-8a3e-{:012x}", number)).value();
}

std::string original(unsigned number) {
    return fmt::format("uploads/original/2026/02/25/{}.jpg", to_text(uuid(number)));
}

struct Given {
    std::int64_t uploaded_s = kNow - 1000;
    std::int64_t moved_s = kNow - 1000;
    std::int64_t viewed_s = 0;  // 0 = never
    std::uint64_t views = 1;
    ImageRecord::State state = ImageRecord::State::complete;
};

void put(Catalog& catalog, unsigned number, PoolId pool, const Given& given = {}) {
    value_of(catalog.put_image({.uuid = uuid(number),
                                .pool = pool,
                                .original = original(number),
                                .state = given.state,
                                .uploaded_s = given.uploaded_s,
                                .moved_s = given.moved_s,
                                .metadata = {}}));
    if (given.viewed_s == 0) return;
    const ViewUpdate update{.image = uuid(number), .views = given.views, .last_s = given.viewed_s};
    value_of(catalog.add_views({&update, 1}, 100));
}

std::vector<unsigned> numbers(const std::vector<TierImage>& images) {
    std::vector<unsigned> all;
    for (const TierImage& each : images)
        all.push_back(each.image[15]);
    return all;
}

using Numbers = std::vector<unsigned>;

}  // namespace

CATALOG_TEST("catalog: the coldest images come first, by view or else by upload", "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId other = make_pool(*catalog, "other");
    put(*catalog, 1, hot, {.uploaded_s = kNow - 500, .viewed_s = kNow - 10});
    put(*catalog, 2, hot, {.uploaded_s = kNow - 300});
    put(*catalog, 3, hot, {.uploaded_s = kNow - 900, .viewed_s = kNow - 200});
    put(*catalog, 4, hot, {.uploaded_s = kNow - 100});
    put(*catalog, 5, hot, {.uploaded_s = kNow - 300});  // like 2
    put(*catalog, 6, other);
    put(*catalog, 7, hot, {.state = ImageRecord::State::incomplete});
    put(*catalog, 8, hot, {.state = ImageRecord::State::deleting});
    TierFilter filter{.pool = hot, .limit = 100};
    const auto all = value_of(catalog->coldest_images(filter));
    CHECK(numbers(all) == Numbers{2, 5, 3, 4, 1});
    CHECK(all[0].original == original(2));
    CHECK(all[0].pool == hot);
    CHECK_FALSE(all[0].views);
    CHECK(all[0].seen_s() == kNow - 300);
    CHECK(all[2].views->last_s == kNow - 200);
    CHECK(all[2].uploaded_s == kNow - 900);
    filter.limit = 3;
    CHECK(numbers(value_of(catalog->coldest_images(filter))) == Numbers{2, 5, 3});
    filter.limit = 0;
    CHECK(value_of(catalog->coldest_images(filter)).empty());
}

CATALOG_TEST("catalog: the coldest images are bounded by their times and by a cohort",
             "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    put(*catalog, 1, hot, {.uploaded_s = 100, .moved_s = 400});
    put(*catalog, 2, hot, {.uploaded_s = 200, .moved_s = 300, .viewed_s = 900});
    put(*catalog, 3, hot, {.uploaded_s = 300, .moved_s = 300});
    const auto found = [&](TierFilter filter) {
        filter.pool = hot;
        filter.limit = 10;
        return numbers(value_of(catalog->coldest_images(filter)));
    };
    CHECK(found({}) == Numbers{1, 3, 2});
    CHECK(found({.uploaded_before_s = 300}) == Numbers{1, 2});
    CHECK(found({.moved_before_s = 400}) == Numbers{3, 2});
    CHECK(found({.viewed_before_s = 900}) == Numbers{1, 3});
    CHECK(found({.viewed_before_s = 300}) == Numbers{1});
    CHECK(found({.is_in_cohort = [](const Uuid& image) { return image[15] != 1; }}) ==
          Numbers{3, 2});
}

CATALOG_TEST("catalog: an image that an open job is about is none of them", "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    const std::string id = to_text(uuid(1));
    const std::vector<std::string> keys{
        "move " + id,
        "delete " + id,
        "process " + id,
        "reconcile " + id,
        fmt::format("clean {} {}", cold, id),
        "reconcile cold " + original(1),
        "reconcile hot uploads/variants/2026/02/25/" + id + "_small.webp",
    };
    put(*catalog, 1, hot);
    put(*catalog, 2, hot);
    const TierFilter filter{.pool = hot, .limit = 10};
    const auto found = [&] { return numbers(value_of(catalog->coldest_images(filter))); };
    for (const std::string& key : keys) {
        CAPTURE(key);
        const JobId job =
            value_of(catalog->queue_job({.type = "x", .payload = "{}", .dedup_key = key}, kNow));
        CHECK(found() == Numbers{2});
        value_of(catalog->set_job_state(job, State::paused, kNow));
        CHECK(found() == Numbers{2});
        value_of(catalog->set_job_state(job, State::cancelled, kNow));
        CHECK(found() == Numbers{1, 2});
    }
    value_of(catalog->queue_job({.type = "x", .payload = "{}", .dedup_key = "move " + original(1)},
                                kNow));
    CHECK(found() == Numbers{1, 2});
}

CATALOG_TEST("catalog: an image whose move has failed lately is left out where that is wanted",
             "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    put(*catalog, 1, hot);
    put(*catalog, 2, hot, {.moved_s = kNow + 10});
    const Catalog::LaneWant want{.lane = "move", .jobs = 2};
    for (const unsigned number : {1U, 2U}) {
        value_of(catalog->queue_job(
            {.type = "move", .payload = "{}", .dedup_key = "move " + to_text(uuid(number))}, kNow));
    }
    const auto jobs = value_of(catalog->take_jobs({&want, 1}, "me", kNow, 30));
    REQUIRE(jobs.size() == 2);
    for (const JobRecord& job : jobs)
        value_of(catalog->fail_job(job.id, "me", {.error_class = "corrupt", .text = "no"}, kNow));
    const auto found = [&](std::optional<std::int64_t> failed_since_s) {
        return numbers(value_of(
            catalog->coldest_images({.pool = hot, .limit = 10, .failed_since_s = failed_since_s})));
    };
    CHECK(found({}) == Numbers{1, 2});
    CHECK(found(kNow) == Numbers{2});  // it has come to this pool since then
    CHECK(found(kNow + 1) == Numbers{1, 2});
    value_of(catalog->set_job_state(jobs[0].id, State::queued, kNow));
    value_of(catalog->set_job_state(jobs[0].id, State::cancelled, kNow));
    CHECK(found(kNow) == Numbers{1, 2});
}

CATALOG_TEST("catalog: pools that are being emptied are known to whoever asks", "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const std::vector<PoolId> pools{make_pool(*catalog, "hot"), make_pool(*catalog, "warm")};
    CHECK(value_of(catalog->emptying_pools()).empty());
    value_of(catalog->set_emptying_pools(pools));
    CHECK(value_of(backend.open()->emptying_pools()) == pools);
    value_of(catalog->set_emptying_pools({&pools[1], 1}));
    CHECK(value_of(catalog->emptying_pools()) == std::vector{pools[1]});
    value_of(catalog->remove_pool(pools[1]));
    CHECK(value_of(catalog->emptying_pools()).empty());
    value_of(catalog->set_emptying_pools(pools));
    CHECK(value_of(catalog->emptying_pools()) == std::vector{pools[0]});
}

CATALOG_TEST("catalog: the hottest images come first, by what their views are worth now",
             "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId cold = make_pool(*catalog, "cold");
    put(*catalog, 1, cold, {.viewed_s = kNow - 100, .views = 16});  // 8 by now
    put(*catalog, 2, cold, {.viewed_s = kNow, .views = 10});
    put(*catalog, 3, cold);
    put(*catalog, 4, cold, {.viewed_s = kNow - 200, .views = 15});  // 3.75
    put(*catalog, 5, cold, {.moved_s = kNow, .viewed_s = kNow, .views = 99});
    TierFilter filter{.pool = cold, .limit = 10, .moved_before_s = kNow};
    const auto found = [&](double least) {
        return numbers(value_of(catalog->hottest_images(filter, least, kNow, 100)));
    };
    CHECK(found(0) == Numbers{2, 1, 4});
    CHECK(found(8) == Numbers{2, 1});
    CHECK(found(8.1) == Numbers{2});
    filter.limit = 1;
    CHECK(found(0) == Numbers{2});
}

CATALOG_TEST("catalog: many images are gone through with few held", "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    std::vector<std::int64_t> times;
    for (unsigned i = 0; i < 200; ++i) {
        times.push_back(kNow - (i * 7919) % 1009);
        put(*catalog, i, hot, {.uploaded_s = times.back()});
    }
    const auto images = value_of(catalog->coldest_images({.pool = hot, .limit = 20}));
    std::ranges::sort(times);
    REQUIRE(images.size() == 20);
    for (std::size_t i = 0; i < images.size(); ++i)
        CHECK(images[i].seen_s() == times[i]);
}

CATALOG_TEST("catalog: batches are counted by their names, the last one first", "[tiering]") {
    TestType backend;
    const auto catalog = backend.open();
    const auto queue = [&](const std::string& batch) {
        return value_of(
            catalog->queue_job({.type = "move", .payload = "{}", .batch = batch}, kNow));
    };
    queue("tier 2026-01-01");
    const JobId cancelled = queue("tier 2026-01-02");
    queue("tier 2026-01-02");
    queue("tier 2026-01-02");
    queue("mv x");
    queue("");
    value_of(catalog->set_job_state(cancelled, State::cancelled, kNow));
    const auto counts = value_of(catalog->count_batches("tier "));
    std::vector<std::string> texts;
    for (const BatchCount& each : counts)
        texts.push_back(
            fmt::format("{} {} {}", each.batch, static_cast<int>(each.state), each.count));
    CHECK(texts == std::vector<std::string>{"tier 2026-01-02 0 2", "tier 2026-01-02 4 1",
                                            "tier 2026-01-01 0 1"});
    CHECK(value_of(catalog->count_batches("nothing")).empty());
}
