#include "proxy/http/connection_counts.h"

#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::http;

namespace {

Peer peer(const std::string& address, bool trusted = false) {
    Peer made;
    made.address = *conf::IpAddress::parse(address);
    made.trusted = trusted;
    return made;
}

}  // namespace

TEST_CASE("connection counts: each peer has its own", "[http][connections]") {
    ConnectionCounts counts;
    CHECK(counts.total() == 0);
    CHECK(counts.enter(peer("192.0.2.1")) == 1);
    CHECK(counts.enter(peer("192.0.2.1")) == 2);
    CHECK(counts.enter(peer("192.0.2.2")) == 1);
    CHECK(counts.total() == 3);
    counts.leave(peer("192.0.2.1"));
    CHECK(counts.total() == 2);
    CHECK(counts.enter(peer("192.0.2.1")) == 2);
    counts.leave(peer("192.0.2.1"));
    counts.leave(peer("192.0.2.1"));
    counts.leave(peer("192.0.2.2"));
    CHECK(counts.total() == 0);
    CHECK(counts.enter(peer("192.0.2.1")) == 1);
}

TEST_CASE("connection counts: an IPv4 address is one peer in both its forms",
          "[http][connections]") {
    ConnectionCounts counts;
    CHECK(counts.enter(peer("192.0.2.1")) == 1);
    CHECK(counts.enter(peer("::ffff:192.0.2.1")) == 2);
    CHECK(counts.enter(peer("::ffff:192.0.2.2")) == 1);
}

TEST_CASE("connection counts: of strangers a /64 is one peer, of trusted ones an address",
          "[http][connections]") {
    ConnectionCounts counts;
    CHECK(counts.enter(peer("2001:db8::1")) == 1);
    CHECK(counts.enter(peer("2001:db8::ffff:ffff:ffff:ffff")) == 2);
    CHECK(counts.enter(peer("2001:db8:0:1::1")) == 1);
    counts.leave(peer("2001:db8::2"));
    CHECK(counts.enter(peer("2001:db8::3")) == 2);

    CHECK(counts.enter(peer("2001:db8:1::1", true)) == 1);
    CHECK(counts.enter(peer("2001:db8:1::2", true)) == 1);
    CHECK(counts.enter(peer("2001:db8:1::1", true)) == 2);
}

TEST_CASE("connection counts: many threads at once", "[http][connections]") {
    ConnectionCounts counts;
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&counts, thread] {
                const Peer shared = peer("192.0.2.1");
                const Peer own = peer("198.51.100." + std::to_string(thread));
                for (int i = 0; i < 2000; ++i) {
                    counts.enter(shared);
                    counts.enter(own);
                    counts.leave(shared);
                    counts.leave(own);
                }
                counts.enter(shared);
            });
        }
    }
    CHECK(counts.total() == 4);
    CHECK(counts.enter(peer("192.0.2.1")) == 5);
    CHECK(counts.enter(peer("198.51.100.1")) == 1);
}

TEST_CASE("connection counts: answers that are held", "[http][connections]") {
    ConnectionCounts counts;
    counts.change_answers(0, 5);
    counts.change_answers(0, 2);
    counts.change_answers(5, 1);
    CHECK(counts.answers() == 3);
    counts.change_answers(2, 0);
    counts.change_answers(1, 0);
    CHECK(counts.answers() == 0);
}
