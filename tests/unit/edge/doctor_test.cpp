#include "proxy/edge/doctor.h"

#include <initializer_list>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

namespace {

using Fields = std::initializer_list<std::pair<const char*, const char*>>;

SeenAnswer seen(int status, const Fields& fields, std::uint64_t bytes = 1000) {
    SeenAnswer answer{.head = {.status = status, .fields = {}}, .bytes = bytes};
    for (const auto& [name, value] : fields)
        answer.head.fields.add(name, value);
    return answer;
}

SeenAnswer of_cache(const char* status) {
    return seen(200, {{"cf-cache-status", status}});
}

const Examined kOurs{.cache_control = "public, max-age=31536000, immutable"};
const Examined kBucket{.is_direct = true, .cache_control = "public, max-age=31536000, immutable"};

}  // namespace

TEST_CASE("doctor: who is proxied says so", "[edge]") {
    CHECK(judge_proxied(seen(200, {{"server", "cloudflare"}, {"cf-ray", "1-FRA"}})).grade ==
          Grade::ok);
    CHECK(judge_proxied(seen(200, {{"server", "cloudflare"}})).grade == Grade::fail);
    CHECK(judge_proxied(seen(200, {{"server", "tidepool"}, {"cf-ray", "1-FRA"}})).grade ==
          Grade::fail);
}

TEST_CASE("doctor: an answer that is no image has its reason", "[edge]") {
    CHECK(judge_found(kOurs, seen(200, {{"content-type", "image/png"}})).grade == Grade::ok);
    CHECK(judge_found(kOurs, seen(200, {{"content-type", "text/html"}})).grade == Grade::fail);
    CHECK(judge_found(kOurs, seen(403, {})).advice.find("custom rule") != std::string::npos);
    CHECK(judge_found(kOurs, seen(403, {{"cf-cache-status", "DYNAMIC"}}))
              .advice.find("edge.secret") != std::string::npos);
    CHECK(judge_found(kOurs, seen(522, {})).advice.find("firewall") != std::string::npos);
    const Diagnosis rewrite = judge_found(kBucket, seen(404, {{"cf-cache-status", "MISS"}}));
    CHECK(rewrite.check == "rewrite");
    CHECK(rewrite.advice.find("/file/BUCKET/") != std::string::npos);
}

TEST_CASE("doctor: what is asked twice comes from the cache", "[edge]") {
    const auto grade = [](const char* first, const char* second) {
        return judge_cache(kOurs, of_cache(first), of_cache(second)).grade;
    };
    CHECK(grade("MISS", "HIT") == Grade::ok);
    CHECK(grade("HIT", "HIT") == Grade::ok);
    CHECK(grade("MISS", "MISS") == Grade::fail);
    CHECK(grade("DYNAMIC", "DYNAMIC") == Grade::fail);
    CHECK(grade("EXPIRED", "REVALIDATED") == Grade::fail);
    CHECK(grade("STALE", "STALE") == Grade::warn);
    CHECK(judge_cache(kBucket, of_cache("BYPASS"), of_cache("BYPASS")).advice.find("HOST") !=
          std::string::npos);
}

TEST_CASE("doctor: validators hold at the edge", "[edge]") {
    const SeenAnswer got = seen(200, {{"etag", "\"x\""}});
    const auto again = [](int status, const char* cache) {
        return seen(status, {{"cf-cache-status", cache}}, 0);
    };
    CHECK(judge_unchanged(got, again(304, "HIT")).grade == Grade::ok);
    CHECK(judge_unchanged(got, again(304, "DYNAMIC")).grade == Grade::warn);
    CHECK(judge_unchanged(got, again(200, "HIT")).grade == Grade::fail);
    CHECK(judge_unchanged(got, std::nullopt).grade == Grade::fail);
    CHECK(judge_unchanged(seen(200, {{"etag", "W/\"x\""}}), again(304, "HIT")).grade ==
          Grade::warn);
}

TEST_CASE("doctor: HEAD is as GET", "[edge]") {
    const SeenAnswer got = seen(200, {{"content-length", "1000"}, {"etag", "\"x\""}});
    CHECK(judge_head(got, got).grade == Grade::ok);
    const Diagnosis wrong =
        judge_head(got, seen(200, {{"content-length", "0"}, {"etag", "\"x\""}}));
    CHECK(wrong.grade == Grade::fail);
    CHECK(wrong.seen == "content-length: 0, not 1000");
    CHECK(judge_head(got, seen(404, {})).grade == Grade::fail);
}

TEST_CASE("doctor: a range is exactly the range", "[edge]") {
    const SeenAnswer got = seen(200, {}, 1000);
    const auto grade = [&](int status, const char* range, std::uint64_t bytes) {
        return judge_range(got, seen(status, {{"content-range", range}}, bytes),
                           {.first = 500, .last = 999})
            .grade;
    };
    CHECK(grade(206, "bytes 500-999/1000", 500) == Grade::ok);
    CHECK(grade(206, "bytes 500-999/1000", 499) == Grade::fail);
    CHECK(grade(206, "bytes 500-999/*", 500) == Grade::fail);
    CHECK(grade(206, "", 500) == Grade::fail);
    CHECK(grade(416, "bytes */1000", 0) == Grade::fail);
    CHECK(judge_range(got, seen(200, {}, 1000), {.first = 500, .last = 999}).grade == Grade::warn);
}

TEST_CASE("doctor: browsers are told what was configured", "[edge]") {
    const auto grade = [](const char* value) {
        return judge_lifetime(kOurs, seen(200, {{"cache-control", value}})).grade;
    };
    CHECK(grade("public, max-age=31536000, immutable") == Grade::ok);
    CHECK(grade("max-age=31536000") == Grade::warn);
    CHECK(grade("public, max-age=14400") == Grade::fail);
    CHECK(grade("public, max-age=31536000, immutable, no-store") == Grade::fail);
    CHECK(judge_lifetime(kOurs, seen(200, {})).grade == Grade::fail);
    CHECK(judge_lifetime({}, seen(200, {{"cache-control", "max-age=1"}})).grade == Grade::ok);
}

TEST_CASE("doctor: fields that should not be there", "[edge]") {
    const auto grade = [](const char* name, const char* value) {
        return judge_fields(kOurs,
                            seen(200, {{"x-content-type-options", "nosniff"}, {name, value}}))
            .grade;
    };
    CHECK(grade("x-other", "y") == Grade::ok);
    CHECK(grade("vary", "Accept-Encoding") == Grade::ok);
    CHECK(grade("vary", "Accept-Encoding, Accept") == Grade::fail);
    CHECK(grade("set-cookie", "__cf_bm=x") == Grade::fail);
    CHECK(grade("x-bz-info-anything", "y") == Grade::fail);
    CHECK(judge_fields(kOurs, seen(200, {})).grade == Grade::warn);
}

TEST_CASE("doctor: the lock refuses, in one way or the other", "[edge]") {
    CHECK(judge_lock(403).grade == Grade::ok);
    CHECK(judge_lock(std::nullopt).grade == Grade::ok);
    CHECK(judge_lock(200).grade == Grade::fail);
    CHECK(judge_lock(404).grade == Grade::fail);  // it was let in, and there was nothing
}

TEST_CASE("doctor: private images", "[edge]") {
    const SeenAnswer by_origin = seen(403, {{"cf-cache-status", "BYPASS"}});
    const SeenAnswer by_rule = seen(403, {});
    const SeenAnswer passed = seen(200, {{"cf-cache-status", "BYPASS"}});
    const SeenAnswer kept = seen(200, {{"cf-cache-status", "HIT"}});
    const auto grade = [](PrivateAnswers answers, bool edge_checks) {
        return judge_private(answers, edge_checks).grade;
    };
    CHECK(grade({by_origin, passed, passed, by_origin}, false) == Grade::ok);
    CHECK(grade({by_origin, passed, kept, by_origin}, false) == Grade::fail);
    CHECK(grade({by_rule, passed, kept, by_rule}, true) == Grade::ok);
    CHECK(grade({by_origin, passed, kept, by_origin}, true) == Grade::fail);
    CHECK(grade({by_rule, by_rule, by_rule, by_rule}, true) == Grade::fail);
    CHECK(grade({passed, passed, passed, passed}, false) == Grade::fail);
    CHECK(grade({by_origin, passed, passed, kept}, false) == Grade::fail);
}
