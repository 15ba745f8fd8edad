// The planner of sweeps.
#include "storage/tiering.h"

#include <array>
#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kNow = 20'000 * kDay;
constexpr PoolId kHot = 1;
constexpr PoolId kWarm = 2;
constexpr PoolId kCold = 3;
constexpr PoolId kArchive = 4;

Uuid uuid(unsigned number) {
    Uuid uuid{};
    uuid[15] = static_cast<std::uint8_t>(number);
    uuid[14] = static_cast<std::uint8_t>(number >> 8);
    return uuid;
}

// Of an image whose days count back from now; never viewed where `viewed_days` is below 0.
struct Days {
    int uploaded = 100;
    int viewed = -1;
    int moved = 100;
};

TierCandidate image(unsigned number, PoolId pool, const Days& days, std::uint64_t bytes = 10,
                    double score = 1) {
    TierCandidate each;
    each.image.image = uuid(number);
    each.image.pool = pool;
    each.image.uploaded_s = kNow - days.uploaded * kDay;
    each.image.moved_s = kNow - days.moved * kDay;
    if (days.viewed >= 0)
        each.image.views = ViewRecord{.score = score, .last_s = kNow - days.viewed * kDay};
    each.size = {.objects = 2, .bytes = bytes, .uploads = 2};
    return each;
}

TierPool pool(PoolId id, const char* name, Tier tier, std::uint64_t max = 0,
              std::uint64_t used = 0) {
    return {.id = id,
            .name = name,
            .tier = tier,
            .is_bucket = tier == Tier::cold || tier == Tier::archive,
            .max_size_bytes = max,
            .used_bytes = used};
}

struct Bench {
    conf::TieringSettings settings;
    TierInput input{.pools = {pool(kHot, "hot", Tier::hot), pool(kCold, "cold", Tier::cold)},
                    .budget = {.images = 100},
                    .now_s = kNow};

    TierPlan plan() const { return plan_tiering(input, settings); }
    void cold_ones(PoolId id, std::vector<TierCandidate> images) {
        input.coldest.push_back({.pool = id, .candidates = std::move(images)});
    }
    void hot_ones(PoolId id, std::vector<TierCandidate> images) {
        input.hottest.push_back({.pool = id, .candidates = std::move(images)});
    }
};

// "1:1>3 idle", in their order.
std::vector<std::string> moves_of(const TierPlan& plan) {
    std::vector<std::string> texts;
    for (const TierMove& move : plan.moves) {
        texts.push_back(std::to_string(move.what.image.image[15]) + ":" +
                        std::to_string(move.from) + ">" + std::to_string(move.to) + " " +
                        std::string(name_of(move.reason)));
    }
    return texts;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("tiering: an image of a hot pool is idle by all of its times", "[storage][tiering]") {
    struct Case {
        const char* what;
        Days days;
        bool goes;
    };
    // keep 30, no views 14, dwell 7
    const Case cases[] = {
        {"old and never viewed", {.uploaded = 31, .viewed = -1, .moved = 31}, true},
        {"old and not viewed for long", {.uploaded = 31, .viewed = 15, .moved = 31}, true},
        {"kept after its upload", {.uploaded = 30, .viewed = -1, .moved = 30}, false},
        {"viewed on the last of the days", {.uploaded = 90, .viewed = 14, .moved = 90}, false},
        {"viewed just now", {.uploaded = 90, .viewed = 0, .moved = 90}, false},
        {"came lately", {.uploaded = 90, .viewed = 80, .moved = 6}, false},
        {"has dwelt for exactly long enough", {.uploaded = 90, .viewed = 80, .moved = 7}, true},
    };
    for (const Case& each : cases) {
        CAPTURE(each.what);
        Bench bench;
        bench.cold_ones(kHot, {image(1, kHot, each.days)});
        CHECK(moves_of(bench.plan()) == (each.goes ? Texts{"1:1>3 idle"} : Texts{}));
    }
}

TEST_CASE("tiering: days of zero mean at once", "[storage][tiering]") {
    Bench bench;
    bench.settings.hot_keep_days_after_upload = 0;
    bench.settings.min_dwell_days_per_tier = 0;
    bench.cold_ones(kHot, {image(1, kHot, {.uploaded = 20, .viewed = 15, .moved = 0})});
    CHECK(moves_of(bench.plan()) == Texts{"1:1>3 idle"});
}

TEST_CASE("tiering: a warm pool with room comes before a cold one", "[storage][tiering]") {
    Bench bench;
    const auto target = [&] {
        const TierPlan plan = bench.plan();
        return plan.moves.empty() ? PoolId{0} : plan.moves.front().to;
    };
    bench.cold_ones(kHot, {image(1, kHot, {})});
    CHECK(target() == kCold);
    bench.input.pools.push_back(pool(kWarm, "warm", Tier::warm, 1000, 800));
    CHECK(target() == kWarm);
    SECTION("full up to its high watermark it takes nothing") {
        bench.input.pools.back().used_bytes = 841;
        CHECK(target() == kCold);
        bench.input.pools.back().used_bytes = 840;
        CHECK(target() == kWarm);
    }
    SECTION("what is on its way to it counts") {
        bench.input.pools.back().coming_bytes = 41;
        CHECK(target() == kCold);
    }
    SECTION("what leaves it makes no room before it has left") {
        bench.input.pools.back().used_bytes = 900;
        bench.input.pools.back().leaving_bytes = 800;
        CHECK(target() == kCold);
    }
    SECTION("disabled or draining it takes nothing") {
        bench.input.pools.back().takes = false;
        CHECK(target() == kCold);
    }
    SECTION("its disk has to have room, and to keep some") {
        TierPool& warm = bench.input.pools.back();
        warm.max_size_bytes = 0;
        warm.disk_bytes = 1000;
        warm.free_bytes = 160;  // 15 percent of the disk, and the image
        CHECK(target() == kWarm);
        warm.free_bytes = 159;
        CHECK(target() == kCold);
        warm.free_bytes = 160;
        warm.coming_bytes = 1;
        CHECK(target() == kCold);
    }
    SECTION("by priority, then by number") {
        bench.input.pools.push_back(pool(7, "second", Tier::warm));
        CHECK(target() == kWarm);
        bench.input.pools.back().priority = 1;
        CHECK(target() == 7);
    }
    SECTION("an archive only where there is nothing else") {
        bench.input.pools.push_back(pool(kArchive, "archive", Tier::archive));
        bench.input.pools[2].takes = false;
        CHECK(target() == kCold);
        bench.input.pools[1].takes = false;
        CHECK(target() == kArchive);
    }
}

TEST_CASE("tiering: room is counted while planning, and what finds none is said",
          "[storage][tiering]") {
    Bench bench;
    bench.input.pools[1] = pool(kCold, "cold", Tier::cold, 25, 0);
    bench.cold_ones(
        kHot, {image(1, kHot, {}), image(2, kHot, {}, 20), image(3, kHot, {}), image(4, kHot, {})});
    const TierPlan plan = bench.plan();
    CHECK(moves_of(plan) == Texts{"1:1>3 idle", "3:1>3 idle"});
    REQUIRE(plan.notes.size() == 1);
    CHECK_THAT(plan.notes[0], Catch::Contains("no pool below pool hot has room"));
}

TEST_CASE("tiering: from a warm pool it goes to a cold one, by that tier's rules",
          "[storage][tiering]") {
    Bench bench;
    bench.input.pools.push_back(pool(kWarm, "warm", Tier::warm));
    bench.input.pools.push_back(pool(9, "other-warm", Tier::warm));
    bench.cold_ones(kWarm, {image(1, kWarm, {.uploaded = 91, .viewed = 61, .moved = 40}),
                            image(2, kWarm, {.uploaded = 91, .viewed = 60, .moved = 40}),
                            image(3, kWarm, {.uploaded = 90, .viewed = -1, .moved = 40})});
    CHECK(moves_of(bench.plan()) == Texts{"1:2>3 idle"});
}

TEST_CASE("tiering: above the high watermark the coldest go until it is below the low one",
          "[storage][tiering]") {
    Bench bench;
    bench.input.pools[0] = pool(kHot, "hot", Tier::hot, 1000, 851);
    // None is idle; they come coldest first.
    std::vector<TierCandidate> images;
    for (unsigned i = 1; i <= 20; ++i)
        images.push_back(image(i, kHot, {.uploaded = 20, .viewed = 10, .moved = 20}, 50));
    bench.cold_ones(kHot, images);
    const TierPlan plan = bench.plan();
    // 851 - 4 * 50 = 651, the first below 700.
    CHECK(moves_of(plan) ==
          Texts{"1:1>3 watermark", "2:1>3 watermark", "3:1>3 watermark", "4:1>3 watermark"});
    CHECK(plan.notes ==
          Texts{"pool hot is being emptied to its low watermark (70 percent of max_size)"});
    SECTION("however many sweeps that takes") {
        bench.input.budget.images = 1;
        std::vector<std::string> all;
        for (; all.size() < images.size();
             bench.input.coldest[0].candidates.erase(bench.input.coldest[0].candidates.begin())) {
            TierPool& hot = bench.input.pools[0];
            const auto moves = moves_of(bench.plan());
            hot.is_emptying = is_to_be_emptied(hot, bench.settings);
            if (moves.empty()) break;
            all.push_back(moves.front());
            hot.used_bytes -= 50;
        }
        CHECK(all == moves_of(plan));
        CHECK_FALSE(bench.input.pools[0].is_emptying);
    }
    SECTION("below the high one only what has been above it") {
        bench.input.pools[0].used_bytes = 849;
        CHECK(bench.plan().moves.empty());
        bench.input.pools[0].is_emptying = true;
        CHECK(bench.plan().moves.size() == 3);
    }
    SECTION("what is on its way out may not come to that") {
        TierPool& hot = bench.input.pools[0];
        hot.leaving_bytes = 200;
        hot.is_emptying = true;
        CHECK(bench.plan().moves.empty());
        CHECK(is_to_be_emptied(hot, bench.settings));
        hot.used_bytes = 651;
        hot.leaving_bytes = 0;
        CHECK_FALSE(is_to_be_emptied(hot, bench.settings));
    }
    SECTION("to the last one where the low one is at nothing") {
        bench.settings.hot_watermark_low = 0;
        CHECK(bench.plan().moves.size() == 18);
        bench.input.pools[0].used_bytes = 0;
        bench.input.pools[0].is_emptying = true;
        CHECK_FALSE(is_to_be_emptied(bench.input.pools[0], bench.settings));
    }
    SECTION("at the high one nothing happens") {
        bench.input.pools[0].used_bytes = 850;
        CHECK(bench.plan().moves.empty());
    }
    SECTION("what is on its way out counts as gone") {
        bench.input.pools[0].leaving_bytes = 2;
        CHECK(bench.plan().moves.empty());
    }
    SECTION("what is on its way in counts as there") {
        bench.input.pools[0].used_bytes = 800;
        bench.input.pools[0].coming_bytes = 51;
        CHECK(bench.plan().moves.size() == 4);
    }
    SECTION("a pool without max_size has no watermark") {
        bench.input.pools[0].max_size_bytes = 0;
        CHECK(bench.plan().moves.empty());
    }
    SECTION("idle ones go anyway, and count for it") {
        bench.input.coldest[0].candidates[0] = image(1, kHot, {.uploaded = 90, .viewed = 80}, 50);
        bench.input.coldest[0].candidates[19] = image(20, kHot, {.uploaded = 90, .viewed = 20}, 50);
        CHECK(moves_of(bench.plan()) == Texts{"1:1>3 idle", "2:1>3 watermark", "3:1>3 watermark",
                                              "4:1>3 watermark", "20:1>3 idle"});
    }
}

TEST_CASE("tiering: the dwell time holds under pressure too, and the plan says so",
          "[storage][tiering]") {
    Bench bench;
    bench.input.pools[0] = pool(kHot, "hot", Tier::hot, 1000, 900);
    const auto note = [&] {
        const TierPlan plan = bench.plan();
        return plan.notes.empty() ? std::string() : plan.notes.back();
    };
    SECTION("those that are given") {
        bench.cold_ones(kHot, {image(1, kHot, {.uploaded = 3, .viewed = 2, .moved = 3}, 50)});
        CHECK(bench.plan().moves.empty());
        CHECK_THAT(note(), Catch::Contains("stays 200 bytes above it") &&
                               Catch::Contains("min_dwell_days_per_tier"));
    }
    SECTION("those that the catalog left out") {
        bench.input.coldest.push_back({.pool = kHot, .candidates = {}, .some_dwell = true});
        CHECK_THAT(note(), Catch::Contains("min_dwell_days_per_tier"));
    }
    SECTION("nothing else is there") {
        bench.input.coldest.push_back({.pool = kHot});
        CHECK_THAT(note(), Catch::Contains("no other images that may go"));
    }
    SECTION("the sweep's limit") {
        bench.input.budget.images = 1;
        bench.cold_ones(kHot, {image(1, kHot, {}, 50), image(2, kHot, {}, 50)});
        CHECK(bench.plan().moves.size() == 1);
        CHECK_THAT(note(), Catch::Contains("next sweeps"));
    }
    SECTION("no room elsewhere") {
        bench.input.pools[1].takes = false;
        bench.cold_ones(kHot, {image(1, kHot, {}, 50)});
        CHECK_THAT(note(), Catch::Contains("no room elsewhere"));
    }
}

TEST_CASE("tiering: a sweep is bounded in images and in bytes", "[storage][tiering]") {
    Bench bench;
    bench.cold_ones(kHot, {image(1, kHot, {}, 60), image(2, kHot, {}, 60), image(3, kHot, {}, 60)});
    bench.input.budget = {.images = 2};
    CHECK(bench.plan().moves.size() == 2);
    bench.input.budget = {.images = 0};
    CHECK(bench.plan().moves.empty());
    bench.input.budget = {.images = 9, .bytes = 120};
    CHECK(bench.plan().moves.size() == 2);
    bench.input.budget = {.images = 9, .bytes = 50};  // larger than a sweep: one, alone
    CHECK(bench.plan().moves.size() == 1);
}

TEST_CASE("tiering: pressed pools come before others", "[storage][tiering]") {
    Bench bench;
    bench.input.pools.push_back(pool(8, "full", Tier::hot, 1000, 900));
    bench.cold_ones(kHot, {image(1, kHot, {})});
    bench.cold_ones(8, {image(2, 8, {}, 300)});
    CHECK(moves_of(bench.plan()) == Texts{"2:8>3 idle", "1:1>3 idle"});
}

TEST_CASE("tiering: enough recent views bring an image back", "[storage][tiering]") {
    Bench bench;
    bench.settings.promote_hits = 10;
    struct Case {
        const char* what;
        double score;
        Days days;
        bool goes;
    };
    const Case cases[] = {
        {"as many as needed", 10, {.viewed = 0}, true},
        {"one less", 9, {.viewed = 0}, false},
        {"views lose half their worth each day", 19, {.viewed = 1}, false},
        {"twice as many a day ago", 20, {.viewed = 1}, true},
        {"it has just come", 1000, {.viewed = 0, .moved = 6}, false},
        {"never viewed", 0, {.viewed = -1}, false},
    };
    for (const Case& each : cases) {
        CAPTURE(each.what);
        Bench one = bench;
        one.hot_ones(kCold, {image(1, kCold, each.days, 10, each.score)});
        CHECK(moves_of(one.plan()) == (each.goes ? Texts{"1:3>1 promotion"} : Texts{}));
    }
    SECTION("none where it is off") {
        bench.settings.promote_hits = 0;
        bench.hot_ones(kCold, {image(1, kCold, {.viewed = 0}, 10, 1e9)});
        CHECK(bench.plan().moves.empty());
    }
    SECTION("to a warm pool where the hot one has no room, never to its own tier") {
        bench.input.pools[0] = pool(kHot, "hot", Tier::hot, 100, 76);
        bench.input.pools.push_back(pool(kWarm, "warm", Tier::warm));
        bench.input.pools.push_back(pool(9, "other-warm", Tier::warm));
        bench.hot_ones(kCold, {image(1, kCold, {.viewed = 0}, 10, 50)});
        bench.hot_ones(kWarm, {image(2, kWarm, {.viewed = 0}, 10, 60)});
        const TierPlan plan = bench.plan();
        CHECK(moves_of(plan) == Texts{"1:3>2 promotion"});
        REQUIRE_FALSE(plan.notes.empty());
        CHECK_THAT(plan.notes[0], Catch::Contains("no pool above pool warm has room"));
    }
    SECTION("the most viewed first, for at most a quarter of a sweep") {
        bench.input.budget.images = 8;
        bench.hot_ones(
            kCold, {image(1, kCold, {.viewed = 0}, 10, 20), image(2, kCold, {.viewed = 0}, 10, 40),
                    image(3, kCold, {.viewed = 0}, 10, 30)});
        bench.cold_ones(kHot, {image(4, kHot, {})});
        CHECK(moves_of(bench.plan()) == Texts{"2:3>1 promotion", "3:3>1 promotion", "4:1>3 idle"});
    }
}

TEST_CASE("tiering: an image that goes up does not go down in the same sweep",
          "[storage][tiering]") {
    Bench bench;
    bench.settings.promote_hits = 1;
    bench.settings.warm_keep_days = 0;
    bench.settings.warm_no_views_days = 1;
    bench.input.pools.push_back(pool(kWarm, "warm", Tier::warm));
    const TierCandidate both = image(1, kWarm, {.viewed = 2}, 10, 100);
    bench.hot_ones(kWarm, {both});
    bench.cold_ones(kWarm, {both});
    CHECK(moves_of(bench.plan()) == Texts{"1:2>1 promotion"});
}

TEST_CASE("tiering: calls and money are those of the contract", "[storage][tiering]") {
    Bench bench;
    SECTION("into a bucket: a put for each object, which costs nothing, and a look at it") {
        bench.cold_ones(kHot, {image(1, kHot, {}, 5'000'000'000), image(2, kHot, {})});
        const TierPlan plan = bench.plan();
        CHECK(plan.calls == TierCalls{.class_a = 4, .class_b = 8});
        CHECK(plan.bill.calls_dollars == 0);
        CHECK(plan.bill.egress_dollars == 0);
        CHECK(plan.bill.storage_dollars_a_month == Approx(0.03));
        CHECK(plan.bytes == 5'000'000'010);
    }
    SECTION("out of it: a read, a listing and a removal for each") {
        bench.settings.promote_hits = 1;
        bench.hot_ones(kCold, {image(1, kCold, {.viewed = 0}, 1'000'000'000, 5)});
        TierPlan plan = bench.plan();
        CHECK(plan.calls ==
              TierCalls{.class_a = 2, .class_b = 2, .class_c = 2, .egress_bytes = 1'000'000'000});
        CHECK(plan.bill.calls_dollars == 0);  // within what is free each day
        CHECK(plan.bill.egress_dollars == Approx(0.01));
        CHECK(plan.bill.storage_dollars_a_month == Approx(-0.006));
        bench.input.used_today = {.class_b_calls = 2'500, .class_c_calls = 2'499};
        plan = bench.plan();
        CHECK(plan.bill.calls_dollars == Approx(2 * 0.004 / 10'000 + 1 * 0.004 / 1'000));
    }
    SECTION("between disks: nothing") {
        bench.input.pools.push_back(pool(kWarm, "warm", Tier::warm));
        bench.cold_ones(kHot, {image(1, kHot, {})});
        const TierPlan plan = bench.plan();
        CHECK(plan.calls == TierCalls{});
        CHECK(plan.bill.storage_dollars_a_month == 0);
    }
}

TEST_CASE("tiering: large objects are uploaded in parts", "[storage][tiering]") {
    ObjectRecord small;
    small.size = 100ULL << 20;
    ObjectRecord large;
    large.size = (100ULL << 20) + 1;
    const std::array rows{small, large};
    CHECK(size_of(rows) ==
          TierSize{.objects = 2, .bytes = (200ULL << 20) + 1, .uploads = 1 + 2 + 7});
    CHECK(size_of({}) == TierSize{});
}

TEST_CASE("tiering: a plan says why", "[storage][tiering]") {
    Bench bench;
    bench.cold_ones(
        kHot, {image(1, kHot, {.uploaded = 40, .viewed = 20}), image(2, kHot, {.uploaded = 50})});
    const TierPlan plan = bench.plan();
    REQUIRE(plan.moves.size() == 2);
    CHECK(plan.moves[0].why == "uploaded 40 days ago, last viewed 20 days ago");
    CHECK(plan.moves[1].why == "uploaded 50 days ago, never viewed");
    CHECK(plan.count(TierReason::idle) == 2);
    CHECK(plan.count(TierReason::promotion) == 0);
}

TEST_CASE("tiering: the largest pool has watermarks too", "[storage][tiering]") {
    const std::uint64_t exbi = 1ULL << 60;
    const conf::TieringSettings settings;
    CHECK(is_pressed(pool(kHot, "hot", Tier::hot, exbi, exbi / 100 * 86), settings));
    CHECK_FALSE(is_pressed(pool(kHot, "hot", Tier::hot, exbi, exbi / 100 * 84), settings));
    CHECK_FALSE(is_pressed(pool(kCold, "cold", Tier::cold, 10, 10), settings));
}

TEST_CASE("tiering: cohorts are of one size and an image keeps its own", "[storage][tiering]") {
    std::array<int, 100> counts{};
    for (unsigned i = 0; i < 20'000; ++i) {
        const unsigned cohort = cohort_of(uuid(i));
        REQUIRE(cohort < 100);
        ++counts[cohort];
        REQUIRE(cohort_of(uuid(i)) == cohort);
    }
    for (const int count : counts)
        CHECK((count > 100 && count < 300));
    // Whoever is in at one percentage stays in at a higher one, today and after an update.
    CHECK(cohort_of(uuid(1)) == 23);
}
