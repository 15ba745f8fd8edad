#include "proxy/tls/ticket_keys.h"

#include <set>

#include <catch2/catch.hpp>

using namespace tidepool::tls;

namespace {

constexpr std::int64_t kRotationS = 100;
std::int64_t clock_s = 0;

// With a clock that stands where a test puts it.
struct Keys : TicketKeys {
    Keys() : TicketKeys([] { return clock_s; }) {}
    TicketKey current(std::int64_t at_s, std::int64_t rotation_s) {
        clock_s = at_s;
        return TicketKeys::current(rotation_s);
    }
    auto find(std::array<std::uint8_t, 16> name, std::int64_t at_s, std::int64_t rotation_s) {
        clock_s = at_s;
        return TicketKeys::find(name, rotation_s);
    }
};

}  // namespace

TEST_CASE("ticket keys: one seals for a time, opens for as long again, and is gone", "[tls]") {
    Keys keys;
    const TicketKey first = keys.current(1'000, kRotationS);
    CHECK(keys.current(1'099, kRotationS).name == first.name);
    CHECK(keys.find(first.name, 1'099, kRotationS)->is_current);

    const TicketKey second = keys.current(1'100, kRotationS);
    CHECK(second.name != first.name);
    CHECK(second.cipher != first.cipher);
    CHECK(second.mac != first.mac);
    const auto found = keys.find(first.name, 1'199, kRotationS);
    REQUIRE(found);
    CHECK_FALSE(found->is_current);
    CHECK(found->key.cipher == first.cipher);
    CHECK(found->key.mac == first.mac);
    CHECK_FALSE(keys.find(first.name, 1'200, kRotationS));
    CHECK(keys.find(second.name, 1'299, kRotationS));
    CHECK_FALSE(keys.find(second.name, 1'300, kRotationS));
}

TEST_CASE("ticket keys: those of a server that was not asked for long are gone", "[tls]") {
    Keys keys;
    const TicketKey old = keys.current(0, kRotationS);
    CHECK_FALSE(keys.find(old.name, 1'000'000, kRotationS));
    CHECK(keys.current(1'000'000, kRotationS).name != old.name);
}

TEST_CASE("ticket keys: a shorter rotation holds for those that are there", "[tls]") {
    Keys keys;
    const TicketKey old = keys.current(0, kRotationS);
    CHECK(keys.find(old.name, 60, kRotationS));
    CHECK_FALSE(keys.find(old.name, 60, 30));
}

TEST_CASE("ticket keys: no two are the same, and a strange name has none", "[tls]") {
    Keys keys;
    std::set<std::array<std::uint8_t, 16>> names;
    for (std::int64_t at_s = 0; at_s < 50 * kRotationS; at_s += kRotationS)
        names.insert(keys.current(at_s, kRotationS).name);
    CHECK(names.size() == 50);
    CHECK_FALSE(keys.find(std::array<std::uint8_t, 16>{}, 50 * kRotationS, kRotationS));
}
