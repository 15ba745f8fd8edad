#include "proxy/serve/purge_progress.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool::serve;

namespace {

PurgeProgress::Progress progress_of(int items, std::int64_t asked = 1) {
    PurgeProgress::Progress progress{.asked = asked};
    for (int i = 0; i < items; ++i)
        progress.told_ms[{ZoneItem::Kind::url, fmt::format("https://h/{}", i)}] = 1;
    return progress;
}

}  // namespace

TEST_CASE("purge progress: it is of what was asked for") {
    PurgeProgress known(100);
    known.keep(1, progress_of(3, 2));
    CHECK(known.of(1, 2).told_ms.size() == 3);
    CHECK(known.of(1, 3).told_ms.empty());
    CHECK(known.of(1, 3).asked == 3);
    CHECK(known.of(2, 2).told_ms.empty());
    known.forget(1);
    CHECK(known.of(1, 2).told_ms.empty());
}

TEST_CASE("purge progress: all of it together has a bound, however few jobs have it") {
    PurgeProgress known(10);
    for (int round = 0; round < 5; ++round)  // in its own place it needs no other
        known.keep(1, progress_of(6));
    auto four = progress_of(3);
    four.verified.insert({"https://h/"});
    known.keep(2, four);
    CHECK(known.of(1, 1).size() == 6);
    CHECK(known.of(2, 1).size() == 4);
    known.keep(3, progress_of(1));
    CHECK(known.of(1, 1).size() == 0);
    CHECK(known.of(2, 1).size() == 0);
    CHECK(known.of(3, 1).size() == 1);
    known.keep(4, progress_of(11));
    CHECK(known.of(4, 1).size() == 0);
    CHECK(known.of(3, 1).size() == 1);
}
