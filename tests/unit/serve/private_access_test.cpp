#include "proxy/serve/private_access.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

constexpr std::string_view kUuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";
constexpr std::int64_t kNow = 1'767'225'600;

PrivateRules rules(std::vector<std::string> prefixes, bool has_key = true) {
    conf::PrivateSettings settings;
    settings.prefixes = std::move(prefixes);
    if (has_key) settings.signing_key = conf::Secret("env:KEY", "a key of sixteen");
    return PrivateRules(settings);
}

http::RequestHead request(std::string_view path, std::string_view query) {
    http::RequestHead head;
    head.path = path;
    head.query = query;
    return head;
}

}  // namespace

TEST_CASE("private: keys below a prefix, and no others", "[serve][private]") {
    const PrivateRules some = rules({"uploads/private/", "uploads/x"});
    for (const char* key : {"uploads/private/a.jpg", "uploads/private/a/b.jpg", "uploads/x.jpg"}) {
        CAPTURE(key);
        CHECK(some.covers(key));
        CHECK_FALSE(rules({}).covers(key));
    }
    for (const char* key : {"uploads/a.jpg", "uploads/privat/a.jpg", "private/a.jpg", ""}) {
        CAPTURE(key);
        CHECK_FALSE(some.covers(key));
    }
}

TEST_CASE("private: a variant is as private as its original", "[serve][private]") {
    const std::string variant = fmt::format("uploads/variants/2026/02/25/{}_small.webp", kUuid);
    for (const std::string& prefix :
         {std::string("uploads/original/"), std::string("uploads/original/2026/02/"),
          fmt::format("uploads/original/2026/02/25/{}", kUuid),
          fmt::format("uploads/original/2026/02/25/{}.jpg", kUuid), std::string("uploads/")}) {
        CAPTURE(prefix);
        CHECK(rules({prefix}).covers(variant));
    }
    for (const char* prefix : {"uploads/original/2026/03/", "uploads/private/", "images/"}) {
        CAPTURE(prefix);
        CHECK_FALSE(rules({prefix}).covers(variant));
    }
    // And the other way it is not: whoever hides variants hides variants.
    CHECK_FALSE(rules({"uploads/variants/"})
                    .covers(fmt::format("uploads/original/2026/02/25/{}.jpg", kUuid)));
    CHECK(rules({"site/original/"}).covers(fmt::format("site/variants/2026/02/25/{}.avif", kUuid)));
}

TEST_CASE("private: who is let in", "[serve][private]") {
    const PrivateRules some = rules({"uploads/"});
    const std::string query = "verify=" + timed_token("a key of sixteen", "/uploads/a.jpg", kNow);
    CHECK(some.judge(request("/uploads/a.jpg", query), kNow) == SignatureVerdict::good);
    CHECK(some.judge(request("/uploads/b.jpg", query), kNow) == SignatureVerdict::bad);
    CHECK(some.judge(request("/uploads/a.jpg", ""), kNow) == SignatureVerdict::missing);
    CHECK(some.judge(request("/uploads/a.jpg", query), kNow + 10'800) == SignatureVerdict::expired);
    // Without a key nobody is.
    const PrivateRules keyless = rules({"uploads/"}, false);
    CHECK(some.is_in_use());
    CHECK_FALSE(keyless.is_in_use());
    CHECK(keyless.judge(request("/uploads/a.jpg", query), kNow) == SignatureVerdict::bad);
    CHECK(keyless.judge(request("/uploads/a.jpg", ""), kNow) == SignatureVerdict::missing);
}

TEST_CASE("private: what the others are told, and how it is counted", "[serve][private]") {
    CHECK(refusal_of(SignatureVerdict::missing).status == 403);
    CHECK(refusal_of(SignatureVerdict::bad).status == 403);
    CHECK(refusal_of(SignatureVerdict::expired).status == 410);
    PrivateCounters counters;
    for (const auto verdict : {SignatureVerdict::missing, SignatureVerdict::good,
                               SignatureVerdict::expired, SignatureVerdict::expired})
        counters.count(verdict);
    CHECK(counters.refused[0].value() == 1);
    CHECK(counters.refused[1].value() == 0);
    CHECK(counters.refused[2].value() == 2);
}
