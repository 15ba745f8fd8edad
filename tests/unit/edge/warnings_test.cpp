#include "proxy/edge/warnings.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::edge;

namespace {

using Codes = std::vector<std::string>;

const std::string kGood =
    "200 OK\nCache-Control: public, max-age=86400\nETag: \"a\"\nContent-Length: 5\n"
    "Content-Type: image/jpeg\n";

Codes codes_of(const std::string& head, const std::string& url = "/a.jpg",
               const std::vector<std::string>& fields = {}) {
    auto question = read_question(url);
    const auto answer = read_answer("HTTP/1.1 " + head);
    REQUIRE(question);
    REQUIRE(answer);
    for (const std::string& line : fields)
        question->fields.add(read_field(line)->name, read_field(line)->value);
    Codes codes;
    for (const Warning& warning : explain(*question, *answer, 1'772'000'000).warnings) {
        CHECK_FALSE(warning.text.empty());
        codes.push_back(warning.code);
    }
    return codes;
}

}  // namespace

TEST_CASE("edge: a good answer has no warnings", "[edge]") {
    CHECK(codes_of(kGood) == Codes{});
    CHECK(codes_of("503 No\nCache-Control: no-store") == Codes{});
    CHECK(codes_of("404 No\nCache-Control: public, max-age=60") == Codes{});
    CHECK(codes_of("302 Found\nCache-Control: no-store\nLocation: /b") == Codes{});
    CHECK(codes_of("304 Same\nCache-Control: max-age=60\nETag: \"a\"") == Codes{});
}

TEST_CASE("edge: what is wrong with an answer", "[edge]") {
    struct Row {
        std::string head;
        Codes codes;
        std::string url = "/a.jpg";
        std::vector<std::string> fields{};
    };
    const std::string body = "ETag: \"a\"\nContent-Length: 5\n";
    for (const auto& [head, codes, url, fields] : std::vector<Row>{
             {"404 No", {"missing_cache_control"}},
             {"404 No", {}, "/a"},
             {"302 Found\nLocation: /b", {"missing_cache_control", "redirect_stored"}},
             {"301 Moved\nCache-Control: max-age=60", {"redirect_stored"}},
             {"307 Moved", {}},
             {"200 OK\n" + body, {"missing_cache_control"}},
             {"403 No", {"missing_cache_control"}},
             {"500 No\nExpires: 0", {}},
             {"503 No\nCache-Control: max-age=60", {"error_stored"}},
             {"403 No\nCache-Control: public, max-age=60", {"error_stored"}},
             {"503 No\nCache-Control: no-cache", {}},
             {"404 No\nCache-Control: max-age=301", {"absence_stored"}},
             {"410 No\nCache-Control: max-age=300", {}},
             {"200 OK\nCache-Control: max-age=9\nETag: \"a\"", {"missing_content_length"}},
             {"200 OK\nCache-Control: max-age=9\nContent-Length: 5", {"missing_etag"}},
             {"200 OK\nCache-Control: max-age=9\nContent-Length: 5\nETag: a", {"unquoted_etag"}},
             {"200 OK\nCache-Control: max-age=9\nContent-Length: 5\nETag: \"a b\"",
              {"unquoted_etag"}},
             {"200 OK\nCache-Control: max-age=9\nContent-Length: 5\nETag: W/\"a\"", {"weak_etag"}},
             {kGood + "Set-Cookie: a=b", {"set_cookie"}},
             {kGood + "Link: </a>; rel=preload", {"link"}},
             {kGood + "Vary: Accept", {"vary_ignored"}},
             {kGood + "Vary: Accept-Encoding, accept , Origin", {"vary_ignored", "vary_ignored"}},
             {kGood + "Vary: *", {"vary_star"}},
             {kGood + "Vary: Accept-Encoding", {}},
             {"200 OK\n" + body + "Cache-Control: s-maxage=9, stale-while-revalidate=5",
              {"stale_void"}},
             {"200 OK\n" + body + "Cache-Control: max-age=9, stale-if-error=5, must-revalidate",
              {"stale_void"}},
             {"200 OK\n" + body + "Cache-Control: max-age=soon", {"unreadable_directive"}},
             {kGood, {"signature_not_checked"}, "/a.jpg?Signature=x&w=2"},
             {kGood, {"signature_not_checked"}, "/a.jpg?w=2&token="},
             {kGood, {}, "/a.jpg?w=2&design=3"},
             {"200 OK\n" + body + "Cache-Control: no-store", {}, "/a.jpg?token=1"},
             {kGood, {"authorization_not_checked"}, "/a.jpg", {"Authorization: x"}},
             {kGood, {"rule_needed"}, "/a.heic"},
             {kGood, {"type_mismatch"}, "/a.png"},
             {"200 OK\n" + body + "Cache-Control: max-age=9\nContent-Type: image/webp", {}},
             {"200 OK\n" + body + "Cache-Control: max-age=9\nContent-Type: image/webp",
              {"type_mismatch"},
              "/a.png"},
             {"200 OK\n" + body +
                  "Cache-Control: max-age=9\nContent-Type: application/octet-stream",
              {}},
             {"200 OK\n" + body + "Cache-Control: max-age=9\nContent-Type: Image/JPEG; a=b", {}},
             {"200 OK\n" + body + "CDN-Cache-Control: max-age=99\nCache-Control: max-age=9",
              {"age_beyond_browser"}},
             {"206 Part\n" + body + "Cache-Control: max-age=9\nContent-Range: bytes 0-4/9", {}},
             {"206 Part\n" + body + "Cache-Control: max-age=9\nContent-Range: bytes 0-4/*",
              {"bad_content_range"}},
             {"206 Part\n" + body + "Cache-Control: max-age=9", {"bad_content_range"}}}) {
        CAPTURE(head, url);
        CHECK(codes_of(head, url, fields) == codes);
    }
}
