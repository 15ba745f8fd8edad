#include "storage/driver.h"
#include "storage/pulled_get.h"
#include "tests/support/fake_driver.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

// More than the buffer between the two threads, and no multiple of anything.
std::string long_text() {
    std::string text;
    while (text.size() < 3 * PulledGet::kBufferBytes)
        text += std::to_string(text.size());
    return text;
}

std::string rest_of(ByteSource& source) {
    std::string text;
    std::vector<char> buffer(70'001);
    while (true) {
        const auto got = source.read(buffer);
        REQUIRE(got);
        if (*got == 0) return text;
        text.append(buffer.data(), *got);
    }
}

}  // namespace

TEST_CASE("exists: an error is no absence", "[storage][driver]") {
    test::FakeDriver driver("a");
    driver.place("x", "content");
    CHECK(exists(driver, "x") == true);
    CHECK(exists(driver, "y") == false);
    driver.set_fault([](auto, auto) { return Error{ErrorKind::io, "down"}; });
    CHECK_FALSE(exists(driver, "x"));
}

TEST_CASE("pulled get: gives all, again after a rewind, and errors in their place",
          "[storage][driver]") {
    test::FakeDriver driver("a");
    const std::string text = long_text();
    driver.place("x", text);
    PulledGet source(driver, "x");
    CHECK(rest_of(source) == text);
    CHECK(source.read({}) == 0U);
    REQUIRE(source.rewind());
    CHECK(rest_of(source) == text);
    PulledGet absent(driver, "y");
    std::vector<char> buffer(10);
    CHECK(absent.read(buffer).error().kind == ErrorKind::not_found);
    CHECK(absent.read(buffer).error().kind == ErrorKind::not_found);
}

TEST_CASE("pulled get: ends the transfer when it is left or begun again", "[storage][driver]") {
    test::FakeDriver driver("a");
    const std::string text = long_text();
    driver.place("x", text);
    std::vector<char> buffer(10);
    {
        PulledGet never_read(driver, "x");
        PulledGet left(driver, "x");
        CHECK(left.read(buffer) == 10U);
    }
    PulledGet again(driver, "x");
    CHECK(again.read(buffer) == 10U);
    REQUIRE(again.rewind());
    CHECK(rest_of(again) == text);
}

TEST_CASE("copy object: from pool to pool, whole or not at all", "[storage][driver]") {
    test::FakeDriver from("a");
    test::FakeDriver to("b");
    const std::string text = long_text();
    from.place("x", text);
    PutOptions options{.size = text.size(), .sha256 = conf::sha256(text)};
    REQUIRE(copy_object(from, "x", to, "y", options));
    CHECK(to.content("y") == text);
    options.sha256 = conf::sha256("other");
    CHECK(copy_object(from, "x", to, "z", options).error().kind == ErrorKind::corrupt);
    CHECK(copy_object(from, "none", to, "z", {.size = 1}).error().kind == ErrorKind::not_found);
    CHECK_FALSE(to.content("z"));
    to.set_fault([](auto, auto) { return Error{ErrorKind::capped, "full"}; });
    CHECK(copy_object(from, "x", to, "z", {.size = text.size()}).error().kind == ErrorKind::capped);
}
