#include "proxy/serve/origin_lock.h"

#include "proxy/serve/edge.h"
#include "proxy/serve/lock_keeper.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

const std::string kKey = "a-secret-of-the-edge";
const std::string kOldKey = "the-secret-before-it!";

conf::EdgeSettings checking_hosts() {
    conf::EdgeSettings edge;
    edge.hosts = {"images.example", "*.example.com", "[2001:db8::1]"};
    return edge;
}

conf::EdgeSettings checking_secret() {
    conf::EdgeSettings edge;
    edge.secret_header = "X-Origin-Key";
    edge.secret = conf::Secret("env:KEY", kKey);
    return edge;
}

conf::EdgeSettings checking_peers() {
    conf::EdgeSettings edge;
    edge.only_trusted_peers = true;
    return edge;
}

conf::EdgeSettings checking_all() {
    conf::EdgeSettings edge = checking_secret();
    edge.hosts = {"images.example"};
    edge.only_trusted_peers = true;
    return edge;
}

http::Peer peer_of(bool trusted) {
    http::Peer peer;
    peer.address = *conf::IpAddress::parse("192.0.2.1");
    peer.trusted = trusted;
    return peer;
}

http::Peer unix_peer() {
    http::Peer peer;
    peer.is_unix = true;
    return peer;
}

// Over TLS, with a certificate that was allowed.
http::Peer shown_peer() {
    http::Peer peer = peer_of(false);
    peer.has_certificate = true;
    return peer;
}

// A head and the text it points into.
struct Asked {
    explicit Asked(std::string request) : text(std::move(request)) {
        CAPTURE(text);
        REQUIRE(http::HeadScanner().scan(text, {}, head) == http::HeadScanner::Outcome::complete);
    }
    std::string text;
    http::RequestHead head;
};

Asked asked(const std::string& fields, const std::string& line = "GET /a.jpg HTTP/1.1") {
    return Asked(line + "\r\n" + fields + "\r\n");
}

bool passes(const conf::EdgeSettings& edge, const Asked& request, const http::Peer& peer) {
    const auto lock = OriginLock::of(edge);
    REQUIRE(lock != nullptr);
    return lock->judge(request.head, peer).passes();
}

using Entry = http::Admission::Entry;

// What a keeper counts by now, as "peer host secret certificate".
std::string counted(const std::array<http::Counter, kLockChecks.size()>& counters) {
    std::string text;
    for (const http::Counter& each : counters)
        text += (text.empty() ? "" : " ") + std::to_string(each.value());
    return text;
}

}  // namespace

TEST_CASE("origin lock: there is none until something is to be checked", "[serve][lock]") {
    CHECK(OriginLock::of({}) == nullptr);
    conf::EdgeSettings logging;
    logging.lock = conf::EdgeSettings::Lock::log;
    CHECK(OriginLock::of(logging) == nullptr);
    for (conf::EdgeSettings edge : {checking_hosts(), checking_secret(), checking_peers()}) {
        CHECK(OriginLock::of(edge) != nullptr);
        edge.lock = conf::EdgeSettings::Lock::log;
        CHECK(OriginLock::of(edge) != nullptr);
        edge.lock = conf::EdgeSettings::Lock::off;
        CHECK(OriginLock::of(edge) == nullptr);
    }
}

TEST_CASE("origin lock: hosts that a request names", "[serve][lock]") {
    struct Case {
        const char* line;
        const char* host;  // null: no such field
        bool passes;
    };
    const char* const get = "GET /a.jpg HTTP/1.1";
    for (const auto& [line, host, passes_it] : std::initializer_list<Case>{
             {get, "images.example", true},
             {get, "images.example:8080", true},
             {get, "images.example.", true},
             {get, "IMAGES.Example:443", true},
             {get, "a.example.com", true},
             {get, "a.b.example.com:80", true},
             {get, "[2001:db8::1]", true},
             {get, "[2001:DB8:0::1]:8080", true},
             {get, "example.com", false},
             {get, "other.example", false},
             {get, "images.example.evil.org", false},
             {get, "images.example:80:80", false},
             {get, "[2001:db8::2]", false},
             {get, "2001:db8::1", false},
             {get, "192.0.2.1", false},
             {get, "", false},
             {"HEAD /a.jpg HTTP/1.1", "other.example", false},
             {"POST /api/v1/upload HTTP/1.1", "other.example", false},
             {"OPTIONS * HTTP/1.1", "images.example", true},
             {"OPTIONS * HTTP/1.1", "other.example", false},
             {"CONNECT images.example:443 HTTP/1.1", "other.example", false},
             // A path that looks like another host is none.
             {"GET /http://other.example/ HTTP/1.1", "images.example", true},
             {"GET //other.example/a.jpg HTTP/1.1", "images.example", true},
             // HTTP/1.0 may come without.
             {"GET /a.jpg HTTP/1.0", nullptr, false},
             {"GET /a.jpg HTTP/1.0", "images.example", true},
             {"GET http://images.example/a.jpg HTTP/1.0", nullptr, true},
             {"GET http://other.example/a.jpg HTTP/1.0", nullptr, false},
             // Absolute-form: both must be known.
             {"GET http://images.example/a.jpg HTTP/1.1", "images.example", true},
             {"GET HTTPS://Images.Example:443/a.jpg HTTP/1.1", "images.example", true},
             {"GET http://images.example?x HTTP/1.1", "images.example", true},
             {"GET http://images.example HTTP/1.1", "images.example", true},
             {"GET http://a.example.com/a.jpg HTTP/1.1", "images.example", true},
             {"GET http://[2001:db8::1]:80/a.jpg HTTP/1.1", "images.example", true},
             {"GET http://other.example/a.jpg HTTP/1.1", "images.example", false},
             {"GET http://images.example/a.jpg HTTP/1.1", "other.example", false},
             {"GET http://images.example/a.jpg HTTP/1.1", "", false},
             {"GET http://images.example@other.example/ HTTP/1.1", "images.example", false},
             {"GET http://other.example?images.example/ HTTP/1.1", "images.example", false},
         }) {
        CAPTURE(line, host != nullptr ? host : "(none)");
        const std::string fields =
            host != nullptr ? "Host: " + std::string(host) + "\r\n" : std::string();
        const Asked request = asked(fields, line);
        CHECK(passes(checking_hosts(), request, peer_of(false)) == passes_it);
        CHECK(passes(checking_hosts(), request, peer_of(true)) == passes_it);
        CHECK(passes(checking_hosts(), request, unix_peer()) == passes_it);
    }
}

TEST_CASE("origin lock: the secret, once and whole", "[serve][lock]") {
    struct Case {
        std::string fields;
        bool passes;
        bool with_previous;  // where there is one
    };
    const std::string name = "X-Origin-Key: ";
    for (const auto& [fields, alone, with_previous] : std::initializer_list<Case>{
             {name + kKey, true, true},
             {"x-origin-key: " + kKey, true, true},
             {"X-ORIGIN-KEY:" + kKey + " \t", true, true},
             {name + kOldKey, false, true},
             {"", false, false},
             {name, false, false},
             {name + kKey.substr(0, kKey.size() - 1), false, false},
             {name + kKey.substr(0, 1), false, false},
             {name + kKey + "x", false, false},
             {name + kKey + "," + kKey, false, false},
             {name + kKey + kOldKey, false, false},
             {name + "A-SECRET-OF-THE-EDGE", false, false},
             {name + "\"" + kKey + "\"", false, false},
             {name + kKey + "\r\n" + name + kKey, false, false},
             {name + kKey + "\r\n" + name + "wrong", false, false},
             {name + "wrong\r\nx-origin-key: " + kKey, false, false},
             {name + kKey + "\r\n" + name, false, false},
             {name + kKey + "\r\n" + name + kOldKey, false, false},
             {"X-Origin-Key2: " + kKey, false, false},
             {"X-Origin-Ke: " + kKey, false, false},
             {"Cookie: X-Origin-Key=" + kKey, false, false},
         }) {
        CAPTURE(fields);
        const Asked request = asked("Host: a\r\n" + fields + (fields.empty() ? "" : "\r\n"));
        conf::EdgeSettings rotating = checking_secret();
        rotating.secret_previous = conf::Secret("env:OLD", kOldKey);
        for (const http::Peer& peer : {peer_of(false), peer_of(true), unix_peer()}) {
            CHECK(passes(checking_secret(), request, peer) == alone);
            CHECK(passes(rotating, request, peer) == with_previous);
        }
    }
}

TEST_CASE("origin lock: only peers that are trusted, and unix sockets", "[serve][lock]") {
    const Asked request = asked("Host: a\r\n");
    CHECK(passes(checking_peers(), request, peer_of(true)));
    CHECK(passes(checking_peers(), request, unix_peer()));
    CHECK_FALSE(passes(checking_peers(), request, peer_of(false)));
}

TEST_CASE("origin lock: no certificate is wanted on the listeners that are named",
          "[serve][lock]") {
    conf::EdgeSettings edge;
    edge.client_ca_files = {"/etc/tidepool/ca.pem"};
    edge.client_ca_except = {{conf::ListenAddress::Family::inet4, "127.0.0.1", 8080}};
    const auto lock = OriginLock::of(edge);
    REQUIRE(lock);
    const Asked request = asked("Host: a\r\n");
    for (const auto& [listener, passes_without] :
         {std::pair("0.0.0.0:443", false), std::pair("127.0.0.1:8080", true),
          std::pair("systemd:tls", false), std::pair("", false)}) {
        CAPTURE(listener);
        http::Peer peer = peer_of(true);
        peer.listener = listener;
        CHECK(lock->judge(request.head, peer).passes() == passes_without);
        CHECK(lock->judge(request.head, peer).proven == passes_without);
        CHECK(lock->judge_unread(peer).fails(LockCheck::certificate) != passes_without);
        peer.has_certificate = true;
        CHECK(lock->judge(request.head, peer).passes());
    }
}

TEST_CASE("origin lock: only who has shown a certificate, and unix sockets", "[serve][lock]") {
    conf::EdgeSettings edge;
    edge.client_ca_files = {"/etc/tidepool/ca.pem"};
    const auto lock = OriginLock::of(edge);
    REQUIRE(lock);
    CHECK(lock->text() == "mode=enforce checks=certificate refusal=forbid");
    const Asked request = asked("Host: a\r\n");
    for (const http::Peer& peer : {shown_peer(), unix_peer()}) {
        CHECK(lock->judge(request.head, peer).passes());
        CHECK(lock->judge(request.head, peer).proven);
        CHECK(lock->judge_unread(peer).proven);
    }
    for (const http::Peer& peer : {peer_of(false), peer_of(true)}) {
        const LockVerdict verdict = lock->judge(request.head, peer);
        CHECK(verdict.fails(LockCheck::certificate));
        CHECK_FALSE(verdict.fails(LockCheck::peer));
        CHECK_FALSE(verdict.proven);
        CHECK(lock->judge_unread(peer).fails(LockCheck::certificate));
        CHECK_FALSE(lock->judge_unread(peer).proven);
    }
}

TEST_CASE("origin lock: together, each check is told by itself", "[serve][lock]") {
    const auto lock = OriginLock::of(checking_all());
    for (const bool peer : {false, true}) {
        for (const bool host : {false, true}) {
            for (const bool secret : {false, true}) {
                CAPTURE(peer, host, secret);
                const Asked request =
                    asked(std::string("Host: ") + (host ? "images.example" : "other") +
                          "\r\nX-Origin-Key: " + (secret ? kKey : "wrong") + "\r\n");
                const LockVerdict verdict = lock->judge(request.head, peer_of(peer));
                CHECK(verdict.fails(LockCheck::peer) == !peer);
                CHECK(verdict.fails(LockCheck::host) == !host);
                CHECK(verdict.fails(LockCheck::secret) == !secret);
                CHECK(verdict.passes() == (peer && host && secret));
                CHECK(verdict.proven == secret);
            }
        }
    }
}

TEST_CASE("origin lock: without the secret no header is believed of anybody", "[serve][lock]") {
    struct Case {
        bool checks_secret;
        bool trusted;
        bool right;
        const char* client;
    };
    for (const auto& [checks_secret, trusted, right, client] : std::initializer_list<Case>{
             {true, true, true, "203.0.113.7"},
             {true, true, false, "192.0.2.1"},
             {true, false, true, "192.0.2.1"},
             {true, false, false, "192.0.2.1"},
             {false, true, false, "203.0.113.7"},
             {false, false, true, "192.0.2.1"},
         }) {
        CAPTURE(checks_secret, trusted, right);
        for (const char* header : {"CF-Connecting-IP", "X-Forwarded-For"}) {
            const Asked request =
                asked("Host: images.example\r\n" + std::string(header) +
                      ": 203.0.113.7\r\nX-Origin-Key: " + (right ? kKey : "wrong") + "\r\n");
            LockKeeper keeper;
            conf::EdgeSettings edge = checks_secret ? checking_secret() : checking_hosts();
            edge.lock = conf::EdgeSettings::Lock::log;
            keeper.change(OriginLock::of(edge));
            http::Peer peer = peer_of(trusted);
            const http::Admission admission = keeper.let_in(&request.head, peer, 0);
            CHECK(admission.entry == Entry::open);
            peer.proven = admission.proven;
            CHECK(client_address(request.head, peer, "CF-Connecting-IP").text() == client);
        }
    }
}

TEST_CASE("lock keeper: a refused request counts once, for the first check", "[serve][lock]") {
    LockKeeper keeper;
    const Asked bad = asked("Host: other\r\n");
    const Asked good = asked("Host: images.example\r\nX-Origin-Key: " + kKey + "\r\n");
    CHECK(keeper.let_in(&bad.head, peer_of(false), 0).entry == Entry::open);
    CHECK(counted(keeper.counters().refused) == "0 0 0 0");

    keeper.change(OriginLock::of(checking_all()));
    CHECK(keeper.let_in(&good.head, peer_of(true), 0).entry == Entry::open);
    CHECK(keeper.let_in(&bad.head, peer_of(false), 0).entry == Entry::forbid);
    CHECK(counted(keeper.counters().refused) == "1 0 0 0");
    CHECK(keeper.let_in(&bad.head, peer_of(true), 0).entry == Entry::forbid);
    CHECK(counted(keeper.counters().refused) == "1 1 0 0");
    keeper.change(OriginLock::of(checking_secret()));
    CHECK(keeper.let_in(&bad.head, peer_of(true), 0).entry == Entry::forbid);
    CHECK(counted(keeper.counters().refused) == "1 1 1 0");
    CHECK(counted(keeper.counters().would_refuse) == "0 0 0 0");
    keeper.change(nullptr);
    CHECK(keeper.let_in(&bad.head, peer_of(false), 0).entry == Entry::open);
    CHECK(keeper.let_in(&bad.head, peer_of(false), 0).proven);
}

TEST_CASE("lock keeper: where it only logs, each check counts", "[serve][lock]") {
    LockKeeper keeper;
    conf::EdgeSettings edge = checking_all();
    edge.lock = conf::EdgeSettings::Lock::log;
    edge.refusal = conf::EdgeSettings::Refusal::close;
    keeper.change(OriginLock::of(edge));
    const Asked bad = asked("Host: other\r\n");
    CHECK_FALSE(keeper.shuts_out(peer_of(false)));
    CHECK(keeper.let_in(&bad.head, peer_of(false), 0).entry == Entry::open);
    CHECK(keeper.let_in(&bad.head, peer_of(true), 0).entry == Entry::open);
    CHECK(keeper.let_in(nullptr, peer_of(false), 0).entry == Entry::open);
    CHECK(counted(keeper.counters().would_refuse) == "2 2 2 0");
    CHECK(counted(keeper.counters().refused) == "0 0 0 0");
}

TEST_CASE("lock keeper: what it closes, it closes without a word", "[serve][lock]") {
    LockKeeper keeper;
    const Asked bad = asked("Host: other\r\n");
    CHECK_FALSE(keeper.shuts_out(peer_of(false)));
    keeper.change(OriginLock::of(checking_all()));
    CHECK_FALSE(keeper.shuts_out(peer_of(false)));  // its first request is told

    conf::EdgeSettings closing = checking_all();
    closing.refusal = conf::EdgeSettings::Refusal::close;
    keeper.change(OriginLock::of(closing));
    CHECK(keeper.let_in(&bad.head, peer_of(true), 0).entry == Entry::close);
    CHECK(keeper.shuts_out(peer_of(false)));
    CHECK_FALSE(keeper.shuts_out(peer_of(true)));
    CHECK_FALSE(keeper.shuts_out(unix_peer()));
    CHECK(counted(keeper.counters().refused) == "1 1 0 0");

    closing.only_trusted_peers = false;
    keeper.change(OriginLock::of(closing));
    CHECK_FALSE(keeper.shuts_out(peer_of(false)));
}

TEST_CASE("lock keeper: a request that cannot be read has proved nothing", "[serve][lock]") {
    struct Case {
        conf::EdgeSettings edge;
        Entry of_stranger;
        Entry of_trusted;
        Entry of_trusted_where_closed;
        bool proven;
    };
    for (const auto& each : std::vector<Case>{
             {checking_hosts(), Entry::open, Entry::open, Entry::close, true},
             {checking_secret(), Entry::open, Entry::open, Entry::close, false},
             {checking_peers(), Entry::forbid, Entry::open, Entry::close, true},
         }) {
        LockKeeper keeper;
        keeper.change(OriginLock::of(each.edge));
        CHECK(keeper.let_in(nullptr, peer_of(false), 0).entry == each.of_stranger);
        const http::Admission trusted = keeper.let_in(nullptr, peer_of(true), 0);
        CHECK(trusted.entry == each.of_trusted);
        CHECK(trusted.proven == each.proven);
        conf::EdgeSettings closing = each.edge;
        closing.refusal = conf::EdgeSettings::Refusal::close;
        keeper.change(OriginLock::of(closing));
        CHECK(keeper.let_in(nullptr, peer_of(false), 0).entry == Entry::close);
        CHECK(keeper.let_in(nullptr, peer_of(true), 0).entry == each.of_trusted_where_closed);
    }
}

TEST_CASE("origin lock: it says what it does, and no secret", "[serve][lock]") {
    CHECK(OriginLock::of(checking_all())->text() ==
          "mode=enforce checks=peer,host,secret refusal=forbid");
    conf::EdgeSettings edge = checking_secret();
    edge.lock = conf::EdgeSettings::Lock::log;
    edge.refusal = conf::EdgeSettings::Refusal::close;
    CHECK(OriginLock::of(edge)->text() == "mode=log checks=secret refusal=close");
}
