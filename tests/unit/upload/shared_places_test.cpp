#include "proxy/upload/shared_places.h"

#include <list>
#include <optional>
#include <utility>

#include <catch2/catch.hpp>

using namespace tidepool::upload;
using Full = SharedPlaces::Full;

TEST_CASE("shared places: all of them, and of one holder some", "[upload]") {
    SharedPlaces places;
    std::list<SharedPlaces::Place> taken;
    const auto take = [&](const char* holder) -> std::optional<Full> {
        auto place = places.take(holder, 4, 2);
        if (!place) return place.error();
        taken.push_back(std::move(*place));
        return std::nullopt;
    };
    CHECK_FALSE(take("a"));
    CHECK_FALSE(take("a"));
    CHECK(take("a") == Full::of_holder);
    CHECK_FALSE(take("b"));
    CHECK_FALSE(take("b"));
    CHECK(take("b") == Full::of_all);
    taken.pop_front();
    CHECK(take("b") == Full::of_holder);
    CHECK_FALSE(take("a"));
    CHECK(take("c") == Full::of_all);
    taken.clear();
    CHECK_FALSE(take("b"));
}

TEST_CASE("shared places: none at all", "[upload]") {
    SharedPlaces places;
    CHECK(places.take("a", 0, 0).error() == Full::of_all);
    CHECK(places.take("a", 1, 0).error() == Full::of_holder);
}
