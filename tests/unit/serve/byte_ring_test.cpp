#include "proxy/serve/byte_ring.h"

#include <string>
#include <thread>

#include <catch2/catch.hpp>

using namespace tidepool::serve;

namespace {

std::string drain(ByteRing& ring) {
    std::string text;
    for (const std::string_view stretch : ring.content())
        text += stretch;
    ring.release(text.size());
    return text;
}

}  // namespace

TEST_CASE("byte ring: all of a text or nothing, around the end", "[serve][ring]") {
    ByteRing ring(10);
    CHECK(ring.push("1234567"));
    CHECK_FALSE(ring.push("abcd"));
    CHECK(ring.used() == 7);
    CHECK(drain(ring) == "1234567");
    CHECK(ring.push("abcdefghij"));  // begins behind the middle
    CHECK_FALSE(ring.push("x"));
    CHECK(ring.content()[0] == "abc");
    CHECK(ring.content()[1] == "defghij");
    ring.release(4);
    CHECK(ring.push("k"));
    CHECK(drain(ring) == "efghijk");
    CHECK(drain(ring).empty());
    CHECK_FALSE(ring.push("more than ten"));
}

TEST_CASE("byte ring: a writer and a reader at once", "[serve][ring]") {
    ByteRing ring(1000);
    constexpr int kLines = 20'000;
    std::thread writer([&] {
        for (int i = 0; i < kLines;) {
            if (ring.push(std::to_string(i) + '\n')) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::string text;
    int next = 0;
    while (next < kLines) {
        text += drain(ring);
        std::size_t start = 0;
        for (std::size_t end = 0; (end = text.find('\n', start)) != std::string::npos;
             start = end + 1) {
            REQUIRE(text.substr(start, end - start) == std::to_string(next));
            ++next;
        }
        text.erase(0, start);
        std::this_thread::yield();
    }
    writer.join();
    CHECK(text.empty());
}
