#include "proxy/edge/cacheability.h"

#include "proxy/edge/eligibility.h"
#include "proxy/edge/explanation.h"
#include "proxy/http/date.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

namespace {

constexpr std::int64_t kNow = 1'772'000'000;
constexpr std::int64_t kDay = 86400;
using Seconds = std::optional<std::int64_t>;
constexpr Seconds kNone{};

Answer answer_of(const std::string& head) {
    auto answer = read_answer(head);
    REQUIRE(answer);
    return *answer;
}

// `head` is a status and lines of fields.
Explanation explained(const std::string& head, const std::string& url = "/a.jpg",
                      const std::vector<std::string>& fields = {}) {
    auto question = read_question(url);
    REQUIRE(question);
    for (const std::string& line : fields) {
        const auto field = read_field(line);
        REQUIRE(field);
        question->fields.add(field->name, field->value);
    }
    return explain(*question, answer_of("HTTP/1.1 " + head), kNow);
}

std::string in(std::int64_t seconds) {
    return "Expires: " + http::format_date(kNow + seconds) + "\n";
}

bool has_reason(const Explanation& all, const std::string& source, const std::string& part) {
    return std::ranges::any_of(all.reasons, [&](const Reason& reason) {
        return reason.source == source && reason.text.find(part) != std::string::npos;
    });
}

}  // namespace

TEST_CASE("edge: what may be stored goes by the extension", "[edge]") {
    for (const char* path :
         {"/a.jpg", "/a.JPEG", "/x/y.z/a.b.webp", "/a.zst", "/a.7z", "/a.html.js"}) {
        CAPTURE(path);
        CHECK(is_default_extension(extension_of(path)));
    }
    for (const char* path : {"/", "/a", "/jpg", "/a.jpg/", "/a.jpg/b", "/a.", "/a.html", "/a.json",
                             "/a.jxl", "/a.heic", "/a.heif", "/a.jp2", "/a.jpg%20", "/.jpg/x"}) {
        CAPTURE(path);
        CHECK_FALSE(is_default_extension(extension_of(path)));
    }
    CHECK(extension_of("/a/.jpg") == "jpg");
    CHECK(is_unlisted_image("jxl"));
    CHECK_FALSE(is_unlisted_image("html"));
    const Explanation all = explained("200 OK\nCache-Control: max-age=60", "/a.html?x=a.jpg");
    CHECK_FALSE(all.edge.stores);
    CHECK(all.edge.cache_status == "DYNAMIC");
    CHECK(has_reason(all, "extension", "HTML and JSON"));
    CHECK(has_reason(all, "Cache Rule", "the edge stores it for 1 minute"));
    CHECK(has_reason(explained("200 OK", "/a"), "extension", "has no extension"));
    CHECK(has_reason(explained("200 OK", "/a.jxl"), "extension", "needs a Cache Rule"));
}

TEST_CASE("edge: lifetimes without instructions", "[edge]") {
    const std::vector<std::pair<int, Seconds>> table{
        {200, 7200},  {206, 7200},  {301, 7200},  {302, 1200},  {303, 1200},  {304, 7200},
        {404, 180},   {410, 180},   {307, kNone}, {308, kNone}, {400, kNone}, {401, kNone},
        {403, kNone}, {429, kNone}, {500, kNone}, {503, kNone}};
    for (const auto& [status, ttl_s] : table) {
        CAPTURE(status);
        const Explanation all = explained(std::to_string(status));
        CHECK(all.edge.stores == ttl_s.has_value());
        CHECK(all.edge.ttl_s == ttl_s);
        CHECK(all.edge.cache_status == "MISS");
        CHECK(all.edge.ttl_source == (ttl_s ? "default" : ""));
        CHECK_FALSE(all.edge.revalidates_always);
    }
    CHECK(explained("403 No\nCache-Control: max-age=30").edge.ttl_s == 30);
}

TEST_CASE("edge: who decides about the lifetime", "[edge]") {
    struct Row {
        std::string fields;
        Seconds ttl_s;
        std::string source;
    };
    const std::string cloudflare = "Cloudflare-CDN-Cache-Control: max-age=10\n";
    const std::string cdn = "CDN-Cache-Control: max-age=20\n";
    const std::string plain = "Cache-Control: max-age=30\n";
    for (const auto& [fields, ttl_s, source] : std::vector<Row>{
             {in(40) + plain + cdn + cloudflare, 10, "Cloudflare-CDN-Cache-Control"},
             {in(40) + plain + cdn, 20, "CDN-Cache-Control"},
             {in(40) + plain, 30, "Cache-Control"},
             {in(40), 40, "Expires"},
             {in(40) + "Cache-Control: public\n", 40, "Expires"},
             {in(40) + "Date: " + http::format_date(kNow + 10) + "\n", 30, "Expires"},
             {"", 7200, "default"},
             {"Cache-Control: public\n", 7200, "default"},
             {"Cache-Control: max-age=60\nCache-Control: s-maxage=5\n", 5, "Cache-Control"},
             {"Cache-Control: max-age=60, s-maxage=5", 5, "Cache-Control"},
             {"CACHE-CONTROL: MAX-AGE=60", 60, "Cache-Control"},
             {"Cache-Control: max-age=\"60\"", 60, "Cache-Control"},
             {"Cache-Control: max-age=60, max-age=5", 60, "Cache-Control"},
             {"Cache-Control: max-age=99999999999999999999", std::int64_t{1} << 31,
              "Cache-Control"},
             {"Cache-Control: max-age=soon", 7200, "default"},
             {"Cache-Control: max-age=-1", 7200, "default"},
             {"Surrogate-Control:\nCache-Control: no-store\n", 7200, "default"},
             {"Surrogate-Control: max-age=9\n" + plain + in(40), 40, "Expires"},
             {"Surrogate-Control: x\n" + cdn + plain, 20, "CDN-Cache-Control"},
             {"CDN-Cache-Control:\n" + plain, 30, "Cache-Control"},
             {"Cloudflare-CDN-Cache-Control: public\n" + plain + in(40), 7200, "default"}}) {
        CAPTURE(fields);
        const Explanation all = explained("200 OK\n" + fields);
        CHECK(all.edge.ttl_s == ttl_s);
        CHECK(all.edge.ttl_source == source);
        CHECK(all.edge.stores);
    }
    const Explanation both = explained("200 OK\n" + plain + cloudflare);
    CHECK(has_reason(both, "Cache-Control", "Cloudflare-CDN-Cache-Control goes before it"));
    CHECK(both.browser.ttl_s == 30);
}

TEST_CASE("edge: what is stored and asked about each time", "[edge]") {
    struct Row {
        std::string fields;
        bool always;
        std::string cache_status;
    };
    for (const auto& [fields, always, cache_status] : std::vector<Row>{
             {"Cache-Control: no-cache", true, "BYPASS"},
             {"Cache-Control: no-cache, max-age=60", true, "BYPASS"},
             {"Cache-Control: max-age=0", true, "MISS"},
             {"Cache-Control: s-maxage=0, max-age=60", true, "MISS"},
             {"Cache-Control: max-age=60, no-cache=\"x-mine\"\nX-Mine: 1", true, "MISS"},
             {"Cache-Control: max-age=60, no-cache=\"x-mine\"", false, "MISS"},
             {in(-5), true, "MISS"},
             {"Expires: 0", true, "MISS"},
             {"Cache-Control: max-age=60", false, "MISS"}}) {
        CAPTURE(fields);
        const EdgePlan plan = explained("200 OK\n" + fields).edge;
        CHECK(plan.stores);
        CHECK(plan.revalidates_always == always);
        CHECK(plan.ttl_s == (always ? 0 : 60));
        CHECK(plan.cache_status == cache_status);
    }
    const EdgePlan error = explained("503 No\nCache-Control: no-cache").edge;
    CHECK(error.stores);
    CHECK(error.ttl_s == 0);
    CHECK(error.ttl_source == "Cache-Control");
}

TEST_CASE("edge: what is not stored", "[edge]") {
    struct Row {
        std::string fields;
        bool stores;
        std::string source;  // of the reason
    };
    for (const auto& [fields, stores, source] : std::vector<Row>{
             {"Cache-Control: no-store", false, "Cache-Control"},
             {"Cache-Control: private, max-age=60", false, "Cache-Control"},
             {"CDN-Cache-Control: no-store\nCache-Control: max-age=60", false, "CDN-Cache-Control"},
             {"Cloudflare-CDN-Cache-Control: max-age=60\nCache-Control: private", true,
              "Cloudflare-CDN-Cache-Control"},
             {"Cache-Control: private=\"x-mine\", max-age=60", true, "Cache-Control"},
             {"Cache-Control: private=\"\", max-age=60", false, "Cache-Control"},
             {"Cache-Control: max-age=60\nSet-Cookie: a=b", false, "Set-Cookie"},
             {"Vary: *", false, "Vary"},
             {"Vary: Accept, *", false, "Vary"},
             {"Vary: Accept", true, "Vary"},
             {"Content-Length: 536870912", true, "default"},
             {"Content-Length: 536870913", false, "size"}}) {
        CAPTURE(fields, source);
        const Explanation all = explained("200 OK\n" + fields);
        CHECK(all.edge.stores == stores);
        CHECK(all.edge.ttl_s.has_value() == stores);
        CHECK(all.edge.cache_status == (stores ? "MISS" : "BYPASS"));
        CHECK(has_reason(all, source, ""));
    }
    CHECK_FALSE(
        explained("206 Part\nContent-Length: 5\nContent-Range: bytes 0-4/600000000").edge.stores);
    CHECK(explained("206 Part\nContent-Length: 5\nContent-Range: bytes 0-4/6000").edge.stores);
    CHECK_FALSE(has_reason(explained("200 OK\nVary: Accept-Encoding"), "Vary", ""));
}

TEST_CASE("edge: a request with Authorization", "[edge]") {
    for (const auto& [control, stores] :
         std::vector<std::pair<std::string, bool>>{{"max-age=9", false},
                                                   {"public, max-age=9", true},
                                                   {"s-maxage=9", true},
                                                   {"max-age=9, must-revalidate", true},
                                                   {"max-age=9, proxy-revalidate", false}}) {
        CAPTURE(control);
        const Explanation all =
            explained("200 OK\nCache-Control: " + control, "/a.jpg", {"Authorization: x"});
        CHECK(all.edge.stores == stores);
        CHECK(has_reason(all, "Authorization", ""));
    }
}

TEST_CASE("edge: stale answers", "[edge]") {
    struct Row {
        std::string control;
        std::int64_t while_asking_s;
        std::int64_t on_error_s;
    };
    for (const auto& [control, while_asking_s, on_error_s] :
         std::vector<Row>{{"max-age=10", 0, 0},
                          {"max-age=10, stale-while-revalidate=20", 20, 0},
                          {"max-age=10, stale-if-error=30", 0, 30},
                          {"max-age=10, stale-while-revalidate=20, stale-if-error=0", 20, 0},
                          {"max-age=0, stale-while-revalidate=20", 20, 0},
                          {"s-maxage=10, stale-while-revalidate=20, stale-if-error=30", 0, 0},
                          {"max-age=10, must-revalidate, stale-while-revalidate=20", 0, 0},
                          {"max-age=10, proxy-revalidate, stale-if-error=30", 0, 0},
                          {"max-age=10, no-cache, stale-if-error=30", 0, 0},
                          {"max-age=10, no-cache=\"x\", stale-if-error=30", 0, 0},
                          {"no-store, stale-if-error=30", 0, 0},
                          {"private, stale-if-error=30", 0, 0}}) {
        CAPTURE(control);
        const EdgePlan plan = explained("200 OK\nCache-Control: " + control).edge;
        CHECK(plan.stale_while_revalidate_s == while_asking_s);
        CHECK(plan.stale_if_error_s == on_error_s);
    }
    CHECK(has_reason(explained("200 OK\nCache-Control: s-maxage=1, stale-if-error=2"),
                     "Cache-Control", "void"));
    CHECK(has_reason(explained("200 OK\nCache-Control: max-age=1, stale-if-error=2"),
                     "zone setting", "Always Online"));
    CHECK(has_reason(explained("200 OK\nCache-Control: max-age=1, stale-if-error=0"),
                     "Cache-Control", "forbids stale"));
}

TEST_CASE("edge: what browsers do", "[edge]") {
    struct Row {
        std::string head;
        bool stores;
        Seconds ttl_s;
        bool always;
        bool immutable;
        std::int64_t stale_s;
    };
    for (const auto& [head, stores, ttl_s, always, immutable, stale_s] : std::vector<Row>{
             {"200\nCache-Control: public, max-age=31536000, immutable", true, 365 * kDay, false,
              true, 0},
             {"200\nCache-Control: no-store", false, kNone, false, false, 0},
             {"200\nCache-Control: no-cache", true, 0, true, false, 0},
             {"200\nCache-Control: no-cache, max-age=9, immutable", true, 0, true, false, 0},
             {"200\nCache-Control: private, max-age=9", true, 9, false, false, 0},
             {"200\nCache-Control: s-maxage=9", true, kNone, false, false, 0},
             {"200\nCache-Control: max-age=0, immutable", true, 0, true, false, 0},
             {"200\nCache-Control: max-age=9, stale-while-revalidate=8", true, 9, false, false, 8},
             {"200\nCache-Control: max-age=9, must-revalidate, stale-while-revalidate=8", true, 9,
              false, false, 0},
             {"200\nCDN-Cache-Control: max-age=9", true, kNone, false, false, 0},
             {"200\n" + in(50), true, 50, false, false, 0},
             {"200\nExpires: -1", true, 0, true, false, 0},
             {"404", true, kNone, false, false, 0},
             {"302", false, kNone, false, false, 0},
             {"302\nCache-Control: max-age=7", true, 7, false, false, 0},
             {"503", false, kNone, false, false, 0}}) {
        CAPTURE(head);
        const BrowserPlan plan = explained(head).browser;
        CHECK(plan.stores == stores);
        CHECK(plan.ttl_s == ttl_s);
        CHECK(plan.revalidates_always == always);
        CHECK(plan.is_immutable == immutable);
        CHECK(plan.stale_while_revalidate_s == stale_s);
    }
}

TEST_CASE("edge: the verdict is one sentence", "[edge]") {
    const std::string own =
        "200 OK\nCache-Control: public, max-age=31536000, immutable\n"
        "Cloudflare-CDN-Cache-Control: max-age=2592000, stale-while-revalidate=86400, "
        "stale-if-error=604800\n";
    for (const auto& [head, verdict] : std::vector<std::pair<std::string, std::string>>{
             {own,
              "the edge stores it for 30 days, then serves it stale for 1 day while it asks again "
              "and for 7 days where the origin fails; browsers keep it for 1 year and never ask "
              "again"},
             {"404 No\nCache-Control: public, max-age=60",
              "the edge stores it for 1 minute; browsers keep it for 1 minute"},
             {"503 No\nCache-Control: no-store",
              "the edge stores nothing and asks the origin at every request; browsers do not keep "
              "it"},
             {"200 OK\nCache-Control: no-cache",
              "the edge stores it and asks the origin again before each use; browsers keep it and "
              "ask again before each use"},
             {"200 OK\nCDN-Cache-Control: max-age=1, stale-if-error=3600",
              "the edge stores it for 1 second, then serves it stale for 1 hour where the origin "
              "fails; browsers keep it for as long as they guess"},
             {"200 OK\nCache-Control: max-age=10, stale-while-revalidate=5",
              "the edge stores it for 10 seconds, then serves it stale for 5 seconds while it asks "
              "again; browsers keep it for 10 seconds, then use it for 5 seconds more while they "
              "ask"}}) {
        CHECK(explained(head).verdict == verdict);
    }
}

TEST_CASE("edge: facts beside the lifetime", "[edge]") {
    const std::string kept = "200 OK\nCache-Control: max-age=36000\nContent-Length: 5\n";
    CHECK(has_reason(explained(kept), "Cache Reserve", "would take it"));
    CHECK(has_reason(explained("200 OK\nCache-Control: max-age=35999\nContent-Length: 5"),
                     "Cache Reserve", "less than 10 hours"));
    CHECK(has_reason(explained("200 OK\nCache-Control: max-age=36000"), "Cache Reserve",
                     "no Content-Length"));
    CHECK(has_reason(explained(kept), "validators", "invents Last-Modified"));
    CHECK_FALSE(has_reason(explained(kept + "Last-Modified: x"), "validators", ""));
    CHECK(has_reason(explained(kept + "ETag: abc"), "validators", "invents"));
    CHECK(has_reason(explained(kept + "ETag: abc"), "ETag", "takes it away"));
    CHECK(has_reason(explained(kept + "ETag: W/\"a\""), "ETag", "is weak"));
    CHECK(has_reason(explained(kept + "ETag: \"a\""), "ETag", "stays so"));
    CHECK(has_reason(explained(kept + "ETag: \"a\"\nContent-Type: image/svg+xml", "/a.svg"), "ETag",
                     "becomes weak"));
    CHECK(has_reason(explained(kept), "cache key", "host and path"));
    CHECK(has_reason(explained(kept, "https://h/a.jpg?v=2"), "cache key", "\"?v=2\""));
    CHECK(has_reason(explained(kept, "/a.jpg", {"Origin: https://a"}), "cache key",
                     "Origin was sent"));
    CHECK(has_reason(explained(kept, "/a.jpg", {"X-Forwarded-Host: a"}), "cache key",
                     "x-forwarded-host was sent"));
    CHECK(has_reason(explained(kept, "/a.jpg", {"Range: bytes=0-1"}), "range", "is not passed on"));
    CHECK_FALSE(has_reason(explained("302 Found\nCache-Control: max-age=9"), "validators", ""));
    CHECK(has_reason(explained(kept), "Cache Rule", "overrides all headers"));
    CHECK(has_reason(explained(kept), "zone setting", "Browser Cache TTL"));
    CHECK_FALSE(
        has_reason(explained("200 OK\nCDN-Cache-Control: max-age=9\nCache-Control: private"),
                   "zone setting", "Browser Cache TTL"));
    const Explanation removing = explained(
        kept +
        "Cache-Tag: a\nX-Accel-Redirect: /x\nCloudflare-CDN-Cache-Control: max-age=5\nETag: b\n");
    CHECK(removing.edge.removes == std::vector<std::string>{"x-accel-redirect", "cache-tag",
                                                            "cloudflare-cdn-cache-control",
                                                            "etag"});
    CHECK(explained(kept).edge.removes.empty());
}
