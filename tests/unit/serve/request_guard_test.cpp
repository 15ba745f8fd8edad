#include "proxy/serve/request_guard.h"

#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kNow = 1'000'000;

conf::Settings hotlinks() {
    conf::Settings settings;
    settings.hotlink.allowed_hosts = {"good.example", "*.good.example"};
    settings.edge.hosts = {"images.example", "*.images.example"};
    settings.upload.public_base_url = "https://site.example:8443";
    settings.upload.view_url = "https://view.example/i/{uuid}";
    return settings;
}

conf::Settings limits(std::vector<conf::RateLimitRule> rules) {
    conf::Settings settings;
    settings.rate_limit = std::move(rules);
    return settings;
}

std::vector<storage::KnownPool> pools() {
    std::vector<storage::KnownPool> all(1);
    all.front().settings.public_base_url = "https://bucket.example";
    return all;
}

// A head and the text it points into.
struct Asking {
    explicit Asking(const std::string& fields)
        : text("GET /uploads/a.jpg HTTP/1.0\r\n" + fields + "\r\n") {
        CAPTURE(text);
        REQUIRE(http::HeadScanner().scan(text, {}, head) == http::HeadScanner::Outcome::complete);
    }
    std::string text;
    http::RequestHead head;
};

http::Peer peer_at(const std::string& address, bool trusted = false) {
    http::Peer peer;
    peer.address = *conf::IpAddress::parse(address);
    peer.trusted = trusted;
    return peer;
}

// The status of the refusal, 200 where there is none.
int status_of(const RequestGuard& guard, const std::string& fields, const http::Peer& peer,
              std::string_view key = "uploads/a.jpg", std::uint64_t now_ms = kNow) {
    const Asking asked(fields);
    const auto refusal = guard.judge(asked.head, peer, key, now_ms);
    return refusal ? refusal->status : 200;
}

std::shared_ptr<const RequestGuard> guard_of(const conf::Settings& settings) {
    auto guard = RequestGuard::of(settings, pools(), std::make_shared<GuardMemory>());
    REQUIRE(guard != nullptr);
    return guard;
}

int with_referer(const conf::Settings& settings, const std::string& referer,
                 const std::string& key = "uploads/a.jpg") {
    return status_of(*guard_of(settings), "Host: Own.example:8080\r\nReferer: " + referer + "\r\n",
                     peer_at("203.0.113.7"), key);
}

// How many of twenty are let in.
int let_in(const RequestGuard& guard, const http::Peer& peer, const std::string& fields = "",
           std::string_view key = "uploads/a.jpg", std::uint64_t now_ms = kNow) {
    int count = 0;
    for (int i = 0; i < 20; ++i)
        count += status_of(guard, fields, peer, key, now_ms) == 200 ? 1 : 0;
    return count;
}

}  // namespace

TEST_CASE("request guard: there is none until something is configured", "[serve][guard]") {
    const auto memory = std::make_shared<GuardMemory>();
    CHECK(RequestGuard::of({}, {}, memory) == nullptr);
    CHECK(RequestGuard::of(hotlinks(), {}, memory) != nullptr);
    CHECK(memory->usage(kNow).over_rate.empty());
    CHECK(RequestGuard::of(limits({{"", 5, 1min, 0}}), {}, memory) != nullptr);
}

TEST_CASE("request guard: whose pages may show images", "[serve][guard]") {
    for (const char* host :
         {"good.example", "GOOD.example", "a.b.good.example", "good.example:81", "own.example",
          "OWN.example:1", "images.example", "x.images.example", "site.example", "view.example",
          "bucket.example", "www.google.com", "lens.google.com", "duckduckgo.com",
          "a-b.translate.goog", "web.archive.org", "mail.yahoo.com"}) {
        CAPTURE(host);
        CHECK(with_referer(hotlinks(), std::string("https://") + host + "/x") == 200);
        CHECK(with_referer(hotlinks(), std::string("http://") + host) == 200);
    }
    for (const char* referer :
         {"https://evil.example/", "https://good.example.evil.example/", "https://notgood.example/",
          "https://good.example@evil.example/", "https://evil.example/?good.example", "evil",
          "https://evil.example\\@good.example/", "https://example/",
          "https://google.com.evil.example/"}) {
        CAPTURE(referer);
        CHECK(with_referer(hotlinks(), referer) == 403);
    }
}

TEST_CASE("request guard: a Referer that says nothing", "[serve][guard]") {
    conf::Settings settings = hotlinks();
    const http::Peer peer = peer_at("203.0.113.7");
    for (const bool allow_empty : {true, false}) {
        CAPTURE(allow_empty);
        settings.hotlink.allow_empty = allow_empty;
        const int expected = allow_empty ? 200 : 403;
        CHECK(status_of(*guard_of(settings), "Host: own.example\r\n", peer) == expected);
        CHECK(with_referer(settings, "") == expected);
        CHECK(with_referer(settings, "android-app://com.example/") == expected);
        CHECK(with_referer(settings, "about:client") == expected);
        CHECK(with_referer(settings, "https://good.example/") == 200);
        CHECK(with_referer(settings, "https://evil.example/") == 403);
        // Twice is nothing that anybody sends by himself.
        CHECK(status_of(*guard_of(settings),
                        "Referer: https://good.example/\r\nReferer: https://good.example/\r\n",
                        peer) == 403);
    }
    // Without a Host there is none that is the same.
    CHECK(status_of(*guard_of(settings), "Referer: https://evil.example/\r\n", peer) == 403);
}

TEST_CASE("request guard: no exceptions, and prefixes", "[serve][guard]") {
    conf::Settings settings = hotlinks();
    settings.hotlink.exceptions = {};
    CHECK(with_referer(settings, "https://www.google.com/") == 403);
    settings.hotlink.exceptions = {"*.search.example"};
    CHECK(with_referer(settings, "https://www.search.example/") == 200);
    settings.hotlink.prefixes = {"uploads/original/", "uploads/big/"};
    CHECK(with_referer(settings, "https://evil.example/", "uploads/original/a.jpg") == 403);
    CHECK(with_referer(settings, "https://evil.example/", "uploads/big/a.jpg") == 403);
    CHECK(with_referer(settings, "https://evil.example/", "uploads/variants/a.jpg") == 200);
}

TEST_CASE("request guard: a client has its tokens, and they come back", "[serve][guard]") {
    const auto guard = guard_of(limits({{"", 6, 1min, 9}}));
    const http::Peer peer = peer_at("203.0.113.7");
    CHECK(let_in(*guard, peer) == 9);
    CHECK(let_in(*guard, peer) == 0);
    const Asking asked("");
    const auto refusal = guard->judge(asked.head, peer, "uploads/a.jpg", kNow);
    REQUIRE(refusal);
    CHECK(refusal->status == 429);
    CHECK(refusal->retry_s == 10);
    CHECK(let_in(*guard, peer_at("203.0.113.8")) == 9);
    CHECK(let_in(*guard, peer, "", "uploads/a.jpg", kNow + 30'000) == 3);
}

TEST_CASE("request guard: an address of IPv6 counts as its /64", "[serve][guard]") {
    const auto guard = guard_of(limits({{"", 5, 1min, 0}}));
    CHECK(let_in(*guard, peer_at("2001:db8:1:2::1")) == 5);
    CHECK(let_in(*guard, peer_at("2001:db8:1:2:ffff:ffff:ffff:ffff")) == 0);
    CHECK(let_in(*guard, peer_at("2001:db8:1:3::1")) == 5);
    // The bits of an address of IPv4 as those of a network.
    CHECK(let_in(*guard, peer_at("203.0.113.7")) == 5);
    CHECK(let_in(*guard, peer_at("0:ffff:cb00:7107::1")) == 5);
    CHECK(let_in(*guard, peer_at("::ffff:203.0.113.7")) == 0);
}

TEST_CASE("request guard: the client is who is believed to be it", "[serve][guard]") {
    const auto guard = guard_of(limits({{"", 5, 1min, 0}}));
    const std::string first = "CF-Connecting-IP: 203.0.113.1\r\n";
    const std::string second = "CF-Connecting-IP: 203.0.113.2\r\n";
    const http::Peer edge = peer_at("192.0.2.1", true);
    CHECK(let_in(*guard, edge, first) == 5);
    CHECK(let_in(*guard, peer_at("192.0.2.2", true), first) == 0);
    CHECK(let_in(*guard, edge, second) == 5);
    CHECK(let_in(*guard, edge, "X-Forwarded-For: 1.2.3.4, 203.0.113.3\r\n") == 5);
    CHECK(let_in(*guard, edge, "CF-Connecting-IP: 203.0.113.3\r\n") == 0);
    // The edge alone is everybody.
    CHECK(let_in(*guard, edge) == 20);
    CHECK(let_in(*guard, edge, "CF-Connecting-IP: nonsense\r\n") == 20);
    http::Peer unproven = edge;
    unproven.proven = false;
    CHECK(let_in(*guard, unproven, first) == 20);
    http::Peer local;
    local.is_unix = true;
    CHECK(let_in(*guard, local) == 20);
    // A stranger is what he is, whomever he names.
    const http::Peer stranger = peer_at("198.51.100.1");
    CHECK(let_in(*guard, stranger, "CF-Connecting-IP: 203.0.113.50\r\n") == 5);
    CHECK(let_in(*guard, stranger, "CF-Connecting-IP: 203.0.113.51\r\n") == 0);
}

TEST_CASE("request guard: the longest prefix decides, each with buckets of its own",
          "[serve][guard]") {
    const auto guard = guard_of(
        limits({{"uploads/", 10, 1min, 0}, {"uploads/original/", 3, 1min, 0}, {"u", 1, 1min, 0}}));
    const http::Peer peer = peer_at("203.0.113.7");
    CHECK(let_in(*guard, peer, "", "uploads/original/a.jpg") == 3);
    CHECK(let_in(*guard, peer, "", "uploads/variants/a.jpg") == 10);
    CHECK(let_in(*guard, peer, "", "up.jpg") == 1);
    CHECK(let_in(*guard, peer, "", "images/a.jpg") == 20);
}

TEST_CASE("request guard: a reload keeps the buckets of rules that stay", "[serve][guard]") {
    const auto memory = std::make_shared<GuardMemory>();
    const http::Peer peer = peer_at("203.0.113.7");
    auto guard = RequestGuard::of(limits({{"", 6, 1min, 0}}), {}, memory);
    CHECK(let_in(*guard, peer) == 6);
    guard =
        RequestGuard::of(limits({{"uploads/original/", 3, 1min, 0}, {"", 6, 1min, 0}}), {}, memory);
    CHECK(let_in(*guard, peer) == 0);
    CHECK(let_in(*guard, peer, "", "uploads/original/a.jpg") == 3);
    const GuardMemory::Usage usage = memory->usage(kNow);
    CHECK(usage.buckets == 2);
    CHECK(usage.evictions == 0);
    CHECK(usage.over_rate == std::vector<std::pair<std::string, std::uint64_t>>{
                                 {"", 14 + 20}, {"uploads/original/", 17}});
    conf::Settings larger = limits({{"", 6, 1min, 0}});
    larger.rate_limits.table = 5000;
    guard = RequestGuard::of(larger, {}, memory);
    CHECK(let_in(*guard, peer) == 6);
}

TEST_CASE("request guard: a hotlink takes no token", "[serve][guard]") {
    conf::Settings settings = hotlinks();
    settings.rate_limit = {{"", 5, 1min, 0}};
    const auto memory = std::make_shared<GuardMemory>();
    const auto guard = RequestGuard::of(settings, {}, memory);
    const http::Peer peer = peer_at("203.0.113.7");
    CHECK(let_in(*guard, peer, "Referer: https://evil.example/\r\n") == 0);
    CHECK(let_in(*guard, peer) == 5);
    CHECK(memory->usage(kNow).hotlinks == 20);
}
