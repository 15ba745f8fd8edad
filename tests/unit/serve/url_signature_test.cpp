#include "proxy/serve/url_signature.h"

#include "conf/digest.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::serve;
using namespace std::chrono_literals;

namespace {

using Verdict = SignatureVerdict;

constexpr std::string_view kKey = "mysecretkey";
constexpr std::string_view kCat = "/download/cat.jpg";
constexpr std::int64_t kIssued = 1484063787;
constexpr std::string_view kCatMac = "JcOQEFurDwNF66OcDJLopQxjsg3cB1KVO5-BFS9zZZ0";
constexpr std::int64_t kNow = 1'767'225'600;

UrlSignatures checker(std::vector<std::string> keys = {std::string(kKey)}) {
    return {std::move(keys), 3h};
}

Verdict judge(const std::string& url, std::int64_t now = kNow,
              const std::vector<std::string>& keys = {std::string(kKey)}) {
    const std::size_t mark = std::min(url.find('?'), url.size());
    const std::string_view query = std::string_view(url).substr(std::min(mark + 1, url.size()));
    return checker(keys).judge(std::string_view(url).substr(0, mark), query, now);
}

std::string timed(std::string_view target, std::int64_t at = kNow, std::string_view key = kKey) {
    return fmt::format("{}{}verify={}", target, target.contains('?') ? '&' : '?',
                       timed_token(key, target, at));
}

std::string absolute(std::string_view target, std::int64_t end = kNow + 60,
                     std::string_view key = kKey) {
    const std::string with_end =
        fmt::format("{}{}exp={}", target, target.contains('?') ? '&' : '?', end);
    return fmt::format("{}&sig={}", with_end, absolute_token(key, with_end));
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != text.npos);
    return text.replace(at, from.size(), to);
}

conf::PrivateSettings settings(conf::Milliseconds quantum = 1h) {
    conf::PrivateSettings made;
    made.signing_key = conf::Secret("env:KEY", std::string(kKey));
    made.quantum = quantum;
    return made;
}

std::string problem(const SigningOrder& order) {
    const auto made = sign_url(settings(), order, kNow);
    REQUIRE_FALSE(made);
    return made.error().text;
}

}  // namespace

TEST_CASE("url signature: the vectors of the contract", "[serve][signature]") {
    CHECK(timed_token(kKey, kCat, kIssued) == fmt::format("{}-{}", kIssued, kCatMac));
    CHECK(timed_token(kKey, "/uploads/original/2026/02/25/0d0d.jpg", kNow) ==
          "1767225600-auViUMCYwtiN3cJPiGet6lB7VKHrs0LH1VTWy2GCKiA");
    CHECK(absolute_token(kKey,
                         "/cheeW4oKsx5ljh8e8BoL2A/bc27a117-9509-446b-8c69-c81bfeac0a01/"
                         "mobile?exp=1631289275") ==
          "5a44196973dbd298ed2162bb7a01dbdfcf87e0f6df5baad7308030e40b94f47b");
    // A '-' within the MAC ends nothing.
    CHECK(judge(fmt::format("{}?verify={}-{}", kCat, kIssued, kCatMac), kIssued) == Verdict::good);
    CHECK(judge("/cheeW4oKsx5ljh8e8BoL2A/bc27a117-9509-446b-8c69-c81bfeac0a01/"
                "mobile?exp=1631289275&sig="
                "5a44196973dbd298ed2162bb7a01dbdfcf87e0f6df5baad7308030e40b94f47b",
                1631289274) == Verdict::good);
}

TEST_CASE("url signature: a timed one holds for the ttl from its issue", "[serve][signature]") {
    const std::string url = timed("/uploads/a.jpg");
    CHECK(judge(url, kNow) == Verdict::good);
    CHECK(judge(url, kNow + 10'799) == Verdict::good);
    CHECK(judge(url, kNow + 10'800) == Verdict::expired);
    CHECK(judge(url, kNow + 1'000'000'000) == Verdict::expired);
    // The clock of who signs may be a little ahead.
    CHECK(judge(url, kNow - 300) == Verdict::good);
    CHECK(judge(url, kNow - 301) == Verdict::bad);
}

TEST_CASE("url signature: an absolute one holds until its end", "[serve][signature]") {
    const std::string url = absolute("/uploads/a.jpg");
    CHECK(judge(url, kNow + 59) == Verdict::good);
    CHECK(judge(url, kNow + 60) == Verdict::expired);
    CHECK(judge(url, 0) == Verdict::good);
}

TEST_CASE("url signature: base64 of either alphabet", "[serve][signature]") {
    const auto mac = *conf::parse_base64url(kCatMac);
    const std::string plain = conf::base64(mac);
    CHECK(plain.contains('+'));
    std::string escaped = replaced(plain, "=", "%3D");
    escaped = replaced(escaped, "+", "%2B");
    for (const std::string& text : {escaped, plain, replaced(escaped, "%2B", "%2b")}) {
        CAPTURE(text);
        CHECK(judge(fmt::format("{}?verify={}-{}", kCat, kIssued, text), kIssued) == Verdict::good);
    }
    for (const std::string& text :
         {std::string(kCatMac) + "=", std::string(kCatMac) + "%3D", replaced(plain, "=", ""),
          std::string(kCatMac.substr(1)), std::string(kCatMac) + "A", std::string("%"),
          replaced(escaped, "%3D", "%3"), std::string()}) {
        CAPTURE(text);
        CHECK(judge(fmt::format("{}?verify={}-{}", kCat, kIssued, text), kIssued) == Verdict::bad);
    }
}

TEST_CASE("url signature: what is not there is missing", "[serve][signature]") {
    for (const char* query :
         {"", "?", "?w=100", "?verified=1", "?x=verify", "?&&", "?signature=a"}) {
        CAPTURE(query);
        CHECK(judge(std::string("/uploads/a.jpg") + query) == Verdict::missing);
    }
}

TEST_CASE("url signature: what was changed is bad", "[serve][signature]") {
    const std::string timed_url = timed("/uploads/a.jpg");
    const std::string absolute_url = absolute("/uploads/a.jpg");
    REQUIRE(judge(timed_url) == Verdict::good);
    REQUIRE(judge(absolute_url) == Verdict::good);
    for (const std::string& url : {
             replaced(timed_url, "a.jpg", "b.jpg"),
             replaced(timed_url, "1767225600", "1767225601"),
             replaced(timed_url, "?verify", "?w=1&verify"),
             timed_url + "&w=1",
             timed_url + "&",
             timed_url + "&verify=" + timed_token(kKey, "/uploads/a.jpg", kNow),
             replaced(timed_url, "1767225600", "01767225600"),
             replaced(timed_url, "1767225600", "+767225600"),
             replaced(timed_url, "1767225600", ""),
             replaced(timed_url, "1767225600-", "1767225600"),
             replaced(absolute_url, "a.jpg", "b.jpg"),
             replaced(absolute_url, "exp=1767225660", "exp=1767225661"),
             replaced(absolute_url, "exp=1767225660&", ""),
             replaced(absolute_url, "exp=1767225660", "exp=91767225660"),
             replaced(absolute_url, "?exp", "?w=1&exp"),
             absolute_url + "0",
             absolute_url + "&w=1",
             absolute_url.substr(0, absolute_url.size() - 1),
             std::string("/uploads/a.jpg?exp=1767225660"),
             std::string("/uploads/a.jpg?sig="),
             std::string("/uploads/a.jpg?verify"),
             std::string("/uploads/a.jpg?verify="),
             std::string("/uploads/a.jpg?verify=-"),
         }) {
        CAPTURE(url);
        CHECK(judge(url) == Verdict::bad);
    }
    CHECK(
        judge(replaced(absolute_url, "sig=" + absolute_token(kKey, "/uploads/a.jpg?exp=1767225660"),
                       "sig=" + std::string(64, '0'))) == Verdict::bad);
}

TEST_CASE("url signature: a wrong one that has ended too is wrong", "[serve][signature]") {
    CHECK(judge(timed("/uploads/a.jpg", kNow - 100'000, "another key")) == Verdict::bad);
    CHECK(judge(absolute("/uploads/a.jpg", kNow - 1, "another key")) == Verdict::bad);
}

TEST_CASE("url signature: what stands in the query before it is signed, too",
          "[serve][signature]") {
    CHECK(judge(timed("/uploads/a.jpg?w=1&h=2")) == Verdict::good);
    CHECK(judge(absolute("/uploads/a.jpg?w=1&h=2")) == Verdict::good);
    CHECK(judge(replaced(timed("/uploads/a.jpg?w=1"), "w=1", "w=2")) == Verdict::bad);
    CHECK(judge(replaced(absolute("/uploads/a.jpg?w=1"), "w=1", "w=2")) == Verdict::bad);
}

// Somebody who has a site sign what they choose gets no longer life of it than that site gives.
TEST_CASE("url signature: no form can be made of the other", "[serve][signature]") {
    const auto mac_hex = [](const std::string& token) {
        return conf::hex(*conf::parse_base64url(token.substr(11)));
    };
    // "?exp=9" and the time of issue behind it, "?exp=9999999999&x=" and the same.
    for (const std::string& target :
         {std::string("/uploads/a.jpg?exp=9"), std::string("/uploads/a.jpg?exp=9999999999&x=")}) {
        const std::string token = timed_token(kKey, target, kNow);
        CHECK(judge(fmt::format("{}{}&sig={}", target, kNow, mac_hex(token))) == Verdict::bad);
        CHECK(judge(timed(target)) == Verdict::bad);
    }
    // That one ends when it was issued.
    const std::string at_once = timed_token(kKey, "/uploads/a.jpg?exp=", kNow);
    CHECK(judge(fmt::format("/uploads/a.jpg?exp={}&sig={}", kNow, mac_hex(at_once))) ==
          Verdict::expired);
    // And the other way: a path that ends with digits.
    const std::string end = absolute_token(kKey, "/uploads/a.jpg?exp=1767225600");
    const std::string as_mac = conf::base64url(*conf::parse_hex(end));
    CHECK(judge(fmt::format("/uploads/a.jpg?exp=&verify=1767225600-{}", as_mac)) == Verdict::bad);
}

TEST_CASE("url signature: of the path as sent, or as the edge normalises it",
          "[serve][signature]") {
    struct Spelling {
        std::string signed_path;
        std::string sent;
    };
    for (const auto& [signed_path, sent] : {
             Spelling{"/uploads/a%20b.jpg", "/uploads/a%20b.jpg"},
             Spelling{"/uploads/a~b.jpg", "/uploads/a%7Eb.jpg"},
             Spelling{"/uploads/a~b.jpg", "/uploads/a%7eb.jpg"},
             Spelling{"/uploads/a%7eb.jpg", "/uploads/a%7eb.jpg"},
             Spelling{"/uploads/%C3%A9.jpg", "/uploads/%c3%a9.jpg"},
             Spelling{"/uploads/%C3%A9.jpg", "/uploads/\xC3\xA9.jpg"},
         }) {
        CAPTURE(signed_path, sent);
        CHECK(judge(replaced(timed(signed_path), signed_path, sent)) == Verdict::good);
        CHECK(judge(replaced(absolute(signed_path), signed_path, sent)) == Verdict::good);
    }
    // What was signed in another spelling than the normal one is that spelling alone.
    CHECK(judge(replaced(timed("/uploads/a%7eb.jpg"), "%7e", "~")) == Verdict::bad);
    CHECK(judge(replaced(timed("/uploads/a%2Fb.jpg"), "%2F", "/")) == Verdict::bad);
}

TEST_CASE("url signature: a broken escape is signed as it is", "[serve][signature]") {
    CHECK(judge(timed("/uploads/%")) == Verdict::good);
}

TEST_CASE("url signature: keys are brought in and taken out", "[serve][signature]") {
    const std::string old_url = timed("/uploads/a.jpg", kNow, "the old key, 16 bytes");
    const std::string new_url = absolute("/uploads/a.jpg", kNow + 60, "the new key, 16 bytes");
    const std::vector<std::string> both{"the new key, 16 bytes", "the old key, 16 bytes"};
    CHECK(judge(old_url, kNow, both) == Verdict::good);
    CHECK(judge(new_url, kNow, both) == Verdict::good);
    CHECK(judge(old_url, kNow, {"the new key, 16 bytes"}) == Verdict::bad);
    CHECK(judge(new_url, kNow, {"the old key, 16 bytes"}) == Verdict::bad);

    conf::PrivateSettings rotating = settings();
    rotating.signing_key_previous = conf::Secret("env:OLD", "the old key, 16 bytes");
    const auto checker = UrlSignatures::of(rotating);
    REQUIRE(checker);
    const auto query = old_url.substr(old_url.find('?') + 1);
    CHECK(checker->judge("/uploads/a.jpg", query, kNow) == Verdict::good);
    CHECK(UrlSignatures::of({}) == nullptr);
}

TEST_CASE("url signature: signed URLs are accepted, and shared for a while", "[serve][signature]") {
    const auto first = sign_url(settings(), {"https://images.example/uploads/a b.jpg"}, kNow + 10);
    const auto second =
        sign_url(settings(), {"https://images.example/uploads/a%20b.jpg"}, kNow + 3'599);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->url == second->url);
    CHECK(first->url.starts_with("https://images.example/uploads/a%20b.jpg?verify=1767225600-"));
    CHECK(first->expires_s == kNow + 10'800);
    CHECK(judge(first->url.substr(22), kNow + 10'799) == Verdict::good);
    CHECK(judge(first->url.substr(22), kNow + 10'800) == Verdict::expired);
    const auto next = sign_url(settings(), {"/uploads/a.jpg"}, kNow + 3'600);
    CHECK(next->url.starts_with("/uploads/a.jpg?verify=1767229200-"));
    const auto exact = sign_url(settings(0ms), {"/uploads/a.jpg"}, kNow + 10);
    CHECK(exact->url.starts_with("/uploads/a.jpg?verify=1767225610-"));
    CHECK(exact->expires_s == kNow + 10 + 10'800);
}

TEST_CASE("url signature: a time that is said is kept to the second", "[serve][signature]") {
    const auto timed_url = sign_url(settings(), {"/uploads/a.jpg", 90s}, kNow + 10);
    REQUIRE(timed_url);
    CHECK(timed_url->expires_s == kNow + 100);
    CHECK(judge(timed_url->url, kNow + 99) == Verdict::good);
    CHECK(judge(timed_url->url, kNow + 100) == Verdict::expired);
    const auto absolute_url =
        sign_url(settings(), {"/uploads/a.jpg?w=1", 48h, SignatureForm::absolute}, kNow + 10);
    REQUIRE(absolute_url);
    CHECK(absolute_url->url.starts_with("/uploads/a.jpg?w=1&exp=1767398410&sig="));
    CHECK(judge(absolute_url->url, kNow + 10 + 172'799) == Verdict::good);
    const auto shared =
        sign_url(settings(), {"/uploads/a.jpg", std::nullopt, SignatureForm::absolute}, kNow + 10);
    CHECK(shared->expires_s == kNow + 10'800);
}

TEST_CASE("url signature: what cannot be signed", "[serve][signature]") {
    CHECK(problem({"/a.jpg", 3h + 1s}) ==
          "a timed signature holds for private.ttl (3h) at most: for longer take --form absolute, "
          "in the API \"form\": \"absolute\"");
    CHECK(problem({"/a.jpg", 0s}) == "a ttl is a second or more");
    CHECK(problem({"/a.jpg", std::chrono::hours(24 * 3651), SignatureForm::absolute}) ==
          "a ttl is ten years at most");
    CHECK(problem({"a.jpg"}) == "expected a URL or a path that begins with \"/\"");
    CHECK(problem({"https://images.example"}) == "expected a URL or a path that begins with \"/\"");
    CHECK(problem({"/a.jpg#top"}) == "a fragment is not sent, so not signed");
    CHECK(problem({"/%zz.jpg"}) == "an escape in its path is broken");
    CHECK(problem({"/a.jpg?w=1 2"}) == "a character of its query is to be escaped");
    CHECK(problem({"/a.jpg?x=\n"}) == "a character of its query is to be escaped");
    CHECK(problem({"https://images\n/a.jpg"}) == "its host is no name");
    for (const char* url : {"/a.jpg?verify=1", "/a.jpg?exp=1", "/a.jpg?w=1&sig"}) {
        CAPTURE(url);
        CHECK(problem({url}) == "it has a signature already: verify, exp or sig");
    }
    const auto keyless = sign_url({}, {"/a.jpg"}, kNow);
    REQUIRE_FALSE(keyless);
    CHECK(keyless.error().kind == ErrorKind::misconfigured);
}

TEST_CASE("url signature: names", "[serve][signature]") {
    CHECK(parse_signature_form("timed") == SignatureForm::timed);
    CHECK(parse_signature_form("absolute") == SignatureForm::absolute);
    CHECK_FALSE(parse_signature_form(""));
    CHECK(name_of(Verdict::missing) == "missing");
    CHECK(name_of(Verdict::bad) == "bad");
    CHECK(name_of(Verdict::expired) == "expired");
}
