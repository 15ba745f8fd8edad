#include "proxy/serve/zone_call.h"

#include "proxy/serve/call_pace.h"
#include "proxy/serve/edge_memory.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using Kind = ZoneItem::Kind;

TEST_CASE("zone call: the body names one kind of things", "[serve][purge]") {
    const std::vector<ZoneItem> urls{{Kind::url, "https://a/b.jpg"},
                                     {Kind::url, "https://a/b.jpg", "https://s"}};
    CHECK(
        purge_body(urls) ==
        R"({"files":["https://a/b.jpg",{"url":"https://a/b.jpg","headers":{"Origin":"https://s"}}]})");
    CHECK(purge_body(std::vector<ZoneItem>{{Kind::tag, "img-1"}, {Kind::tag, "img-2"}}) ==
          R"({"tags":["img-1","img-2"]})");
    CHECK(purge_body(std::vector<ZoneItem>{{Kind::prefix, "a/b"}}) == R"({"prefixes":["a/b"]})");
    CHECK(purge_body(std::vector<ZoneItem>{{Kind::everything}}) == R"({"purge_everything":true})");
    CHECK(name_of(urls[1]) == "https://a/b.jpg for Origin https://s");
}

TEST_CASE("zone call: what an answer means", "[serve][purge]") {
    constexpr std::int64_t kNow = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
    const std::string good = R"({"success":true,"errors":[],"messages":[],"result":{"id":"x"}})";
    CHECK(read_zone_answer(200, good, "", kNow));
    struct Case {
        int status;
        std::string body;
        ErrorKind kind;
        bool is_of_an_item = false;
    };
    const auto errors = [](int code) {
        return R"({"success":false,"errors":[{"code":)" + std::to_string(code) +
               R"(,"message":"why"}],"messages":[],"result":null})";
    };
    const std::vector<Case> cases{
        {200, errors(1), ErrorKind::io},
        {200, "", ErrorKind::io},
        {200, "[]", ErrorKind::io},
        {200, R"({"success":"true"})", ErrorKind::io},
        {301, "", ErrorKind::io},
        {400, errors(1012), ErrorKind::invalid, true},
        {422, errors(1), ErrorKind::invalid, true},
        {400, "<html>", ErrorKind::io},
        {400, errors(6003), ErrorKind::denied},
        {400, errors(7003), ErrorKind::misconfigured},
        {401, "", ErrorKind::io},
        {403, "<html>", ErrorKind::io},
        {401, errors(10000), ErrorKind::denied},
        {403, errors(10000), ErrorKind::denied},
        {404, errors(7003), ErrorKind::misconfigured},
        {429, "", ErrorKind::overloaded},
        {500, good, ErrorKind::io},
        {503, errors(1), ErrorKind::io},
    };
    for (const Case& each : cases) {
        CAPTURE(each.status, each.body);
        const auto read = read_zone_answer(each.status, each.body, "", kNow);
        REQUIRE_FALSE(read);
        CHECK(read.error().error.kind == each.kind);
        CHECK(read.error().is_of_an_item == each.is_of_an_item);
        CHECK(read.error().error.store->status == each.status);
    }
    const auto wait = [&](std::string_view text) {
        return read_zone_answer(429, "", text, kNow).error().error.store->retry_after.count();
    };
    CHECK(wait("7") == 7);
    CHECK(wait("") == 0);
    CHECK(wait("soon") == 0);
    CHECK(wait("-5") == 0);
    CHECK(wait("Sun, 06 Nov 1994 08:50:07 GMT") == 30);
    CHECK(wait("99999999999999") == 24 * 3600);
    CHECK(read_zone_answer(400, errors(1012), "", kNow).error().error.text ==
          "the edge's API answers 400 (1012: why)");
}

TEST_CASE("call pace: a second's calls at once, then one after the other", "[serve][purge]") {
    using std::chrono::milliseconds;
    const CallPace::Clock::time_point start{std::chrono::hours(1)};
    CallPace fast(120);
    CHECK(fast.take(start) == milliseconds(0));
    CHECK(fast.take(start) == milliseconds(0));
    CHECK(fast.take(start) == milliseconds(500));
    CHECK(fast.take(start + milliseconds(499)) <= milliseconds(2));  // rounded up
    CHECK(fast.take(start + milliseconds(499)) > milliseconds(0));
    CHECK(fast.take(start + milliseconds(500)) == milliseconds(0));
    CHECK(fast.take(start + std::chrono::hours(1)) == milliseconds(0));
    CHECK(fast.take(start + std::chrono::hours(1)) == milliseconds(0));
    CHECK(fast.take(start + std::chrono::hours(1)) == milliseconds(500));
    CallPace slow(5);
    CHECK(slow.take(start) == milliseconds(0));
    CHECK(slow.take(start) == milliseconds(12'000));
    slow.hold_until(start + std::chrono::seconds(60));
    CHECK(slow.take(start + std::chrono::seconds(59)) == milliseconds(1000));
    CHECK(slow.take(start + std::chrono::seconds(72)) == milliseconds(0));
}

TEST_CASE("call pace: some are kept for who keeps none", "[serve][purge]") {
    using std::chrono::seconds;
    const CallPace::Clock::time_point start{std::chrono::hours(1)};
    CallPace pace(5, 5);
    for (int i = 0; i < 3; ++i)
        CHECK(pace.take(start, 2) == seconds(0));
    CHECK(pace.take(start, 2) == seconds(12));
    CHECK(pace.take(start) == seconds(0));
    CHECK(pace.take(start) == seconds(0));
    CHECK(pace.take(start) == seconds(12));
    CHECK(pace.take(start, 2) == seconds(36));
    CHECK(pace.take(start + seconds(12)) == seconds(0));
    CHECK(pace.take(start + seconds(48), 2) == seconds(0));
    // Who holds no more than one keeps none.
    CallPace slow(5);
    CHECK(slow.take(start, 2) == seconds(0));
    CHECK(slow.take(start + seconds(12), 2) == seconds(0));
}

TEST_CASE("edge memory: old is what was there before it was told", "[serve][purge]") {
    constexpr std::int64_t kTold = 1'000'000;
    const auto judge = [](int status, const char* said, std::optional<std::int64_t> age_s,
                          std::int64_t after_ms, bool is_refused = false) {
        return judge_memory({status, said, age_s, kTold + after_ms}, kTold, is_refused);
    };
    CHECK(judge(200, "MISS", std::nullopt, 10) == EdgeMemory::forgotten);
    CHECK(judge(200, "EXPIRED", std::nullopt, 10) == EdgeMemory::forgotten);
    CHECK(judge(200, "HIT", 5, 1000) == EdgeMemory::kept);
    CHECK(judge(200, "hit", 5, 1000) == EdgeMemory::kept);
    CHECK(judge(200, "STALE", 5, 1000) == EdgeMemory::kept);
    CHECK(judge(200, "HIT", 0, 500) == EdgeMemory::forgotten);
    CHECK(judge(200, "HIT", 2, 2000) == EdgeMemory::forgotten);
    CHECK(judge(200, "HIT", std::nullopt, 10) == EdgeMemory::forgotten);
    CHECK(judge(200, "DYNAMIC", std::nullopt, 10) == EdgeMemory::forgotten);
    CHECK(judge(200, "MISS", std::nullopt, 10, true) == EdgeMemory::shown);
    CHECK(judge(302, "MISS", std::nullopt, 10, true) == EdgeMemory::shown);
    CHECK(judge(410, "MISS", std::nullopt, 10, true) == EdgeMemory::forgotten);
    CHECK(judge(410, "HIT", 3, 1000, true) == EdgeMemory::kept);
    CHECK(judge(410, "EXPIRED", std::nullopt, 10, true) == EdgeMemory::forgotten);
    CHECK(judge(403, "BYPASS", std::nullopt, 10, true) == EdgeMemory::forgotten);
    CHECK(judge(404, "DYNAMIC", std::nullopt, 10) == EdgeMemory::forgotten);
    CHECK(judge(200, "HIT", 3, 1000, true) == EdgeMemory::shown);
}

TEST_CASE("edge memory: an answer of the edge's own says nothing of it", "[serve][purge]") {
    const auto judge = [](int status, const char* said, bool is_refused) {
        return judge_memory({status, said, std::nullopt, 1010}, 1000, is_refused);
    };
    for (const bool is_refused : {false, true}) {
        CAPTURE(is_refused);
        CHECK(judge(403, "", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(403, "NONE", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(403, "unknown", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(301, "", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(429, "", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(429, "DYNAMIC", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(502, "", is_refused) == EdgeMemory::unsaid);
        CHECK(judge(522, "MISS", is_refused) == EdgeMemory::unsaid);
    }
    CHECK(judge(200, "", false) == EdgeMemory::unsaid);
    CHECK(judge(200, "", true) == EdgeMemory::shown);
}
