#include "proxy/http/range.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::http;
using Kind = RangeChoice::Kind;

TEST_CASE("range: one range", "[http][range]") {
    struct Case {
        const char* header;
        std::uint64_t first, length;
    };
    for (const Case& each : std::initializer_list<Case>{{"bytes=0-0", 0, 1},
                                                        {"bytes=0-9", 0, 10},
                                                        {"bytes=10-", 10, 990},
                                                        {"bytes=-1", 999, 1},
                                                        {"bytes=-1000", 0, 1000},
                                                        {"bytes=-5000", 0, 1000},
                                                        {"bytes=999-", 999, 1},
                                                        {"bytes=990-5000", 990, 10},
                                                        {"BYTES=1-2", 1, 2},
                                                        {"bytes= 1-2 ", 1, 2},
                                                        {"bytes=,1-2,", 1, 2},
                                                        {"bytes=0-18446744073709551615", 0, 1000},
                                                        {"bytes=5-99999999999999999999999", 5, 995},
                                                        {"bytes=-99999999999999999999999", 0, 1000},
                                                        {"bytes=1-2,5000-6000", 1, 2}}) {
        CAPTURE(each.header);
        const RangeChoice choice = choose_ranges(each.header, 1000, 10);
        REQUIRE(choice.kind == Kind::partial);
        CHECK(choice.ranges == std::vector<ByteRange>{{each.first, each.length}});
    }
}

TEST_CASE("range: what does not parse is ignored", "[http][range]") {
    for (const char* header :
         {"", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=1", "bytes=-", "bytes=1-2-3",
          "bytes=1-2;3-4", "items=0-1", "bytes=0x1-2", "bytes=+1-2", "bytes=1 -2", "byte=1-2",
          "bytes:1-2", "bytes=1-2,x"}) {
        CAPTURE(header);
        CHECK(choose_ranges(header, 1000, 10).kind == Kind::whole);
    }
}

TEST_CASE("range: what lies outside cannot be satisfied", "[http][range]") {
    for (const char* header :
         {"bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=5-4", "bytes=2000-3000,-0"}) {
        CAPTURE(header);
        CHECK(choose_ranges(header, 1000, 10).kind == Kind::unsatisfiable);
    }
    CHECK(choose_ranges("bytes=0-", 0, 10).kind == Kind::unsatisfiable);
    CHECK(choose_ranges("bytes=-5", 0, 10).kind == Kind::unsatisfiable);
}

TEST_CASE("range: several keep their order, close ones are joined", "[http][range]") {
    const auto ranges = [](const char* header) {
        return choose_ranges(header, 100'000, 10).ranges;
    };
    using Ranges = std::vector<ByteRange>;
    CHECK(ranges("bytes=5000-5009,0-9") == Ranges{{5000, 10}, {0, 10}});
    CHECK(ranges("bytes=0-9,5-20") == Ranges{{0, 21}});
    CHECK(ranges("bytes=0-9,10-19") == Ranges{{0, 20}});
    CHECK(ranges("bytes=0-9,50-59") == Ranges{{0, 60}});  // a part's own head would cost more
    CHECK(ranges("bytes=0-9,1000-1009,5-1005") == Ranges{{0, 1010}});
    CHECK(ranges("bytes=-10,0-9") == Ranges{{99'990, 10}, {0, 10}});
}

TEST_CASE("range: too many, or as much as the whole, is answered whole", "[http][range]") {
    CHECK(choose_ranges("bytes=0-0,2000-2000,4000-4000", 10'000, 3).kind == Kind::partial);
    CHECK(choose_ranges("bytes=0-0,2000-2000,4000-4000", 10'000, 2).kind == Kind::whole);
    CHECK(choose_ranges("bytes=0-4000,4100-9999", 10'000, 9).kind == Kind::whole);
    CHECK(choose_ranges("bytes=0-9999", 10'000, 9).kind == Kind::partial);
}
