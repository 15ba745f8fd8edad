#include "proxy/upload/tokenless_places.h"

#include <list>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool::upload;
using Full = TokenlessPlaces::Full;

TEST_CASE("tokenless places: all of them, and of one address some", "[upload]") {
    TokenlessPlaces places;
    std::list<TokenlessPlaces::Place> taken;
    const auto take = [&](const char* client) -> std::optional<Full> {
        auto place = places.take(client, 4, 2);
        if (!place) return place.error();
        taken.push_back(std::move(*place));
        return std::nullopt;
    };
    CHECK_FALSE(take("203.0.113.1"));
    CHECK_FALSE(take("203.0.113.1"));
    CHECK(take("203.0.113.1") == Full::of_address);
    CHECK_FALSE(take("2001:db8::1"));
    CHECK_FALSE(take("2001:db8::2"));  // of the same network
    CHECK(take("2001:db8::3") == Full::of_all);
    taken.pop_front();
    CHECK(take("2001:db8::3") == Full::of_address);
    CHECK_FALSE(take("203.0.113.1"));
    CHECK(take("203.0.113.2") == Full::of_all);
    taken.clear();
    CHECK_FALSE(take("2001:db8::3"));
}

TEST_CASE("tokenless places: without a limit by address, and with none at all", "[upload]") {
    TokenlessPlaces places;
    const auto first = places.take("unix:", 2, 0);
    const auto second = places.take("unix:", 2, 0);
    CHECK(first);
    CHECK(second);
    CHECK(places.take("unix:", 2, 0).error() == Full::of_all);
    CHECK(places.take("unix:", 3, 1));  // no address
    CHECK(places.take("unix:", 0, 0).error() == Full::of_all);
}
