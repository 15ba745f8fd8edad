#include "storage/checked_source.h"

#include "storage/streams.h"

#include <array>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

// What is passed on before the end, or the error.
struct Outcome {
    std::string content;
    std::optional<ErrorKind> error{};
};

Outcome read_all(CheckedSource& source, std::size_t step) {
    Outcome outcome;
    std::string buffer(step, '?');
    while (true) {
        const auto got = source.read(buffer);
        if (!got) {
            outcome.error = got.error().kind;
            return outcome;
        }
        if (*got == 0) return outcome;
        outcome.content.append(buffer, 0, *got);
    }
}

}  // namespace

TEST_CASE("checked source: what is right is passed on, in any steps", "[storage][source]") {
    for (const std::size_t step : {1UL, 3UL, 10UL, 100UL}) {
        MemorySource inner("0123456789");
        CheckedSource source(inner, 10, conf::sha256("0123456789"));
        CHECK(read_all(source, step).content == "0123456789");
        CHECK(source.md5() == conf::md5("0123456789"));
        REQUIRE(source.rewind());
        CHECK_FALSE(source.md5());
        CHECK(read_all(source, step).content == "0123456789");
    }
}

TEST_CASE("checked source: what is wrong never becomes whole", "[storage][source]") {
    for (const std::size_t step : {1UL, 3UL, 10UL, 100UL}) {
        MemorySource inner("0123456789");
        const auto right = conf::sha256("0123456789");
        CheckedSource other(inner, 10, conf::sha256("other"));
        const Outcome of_other = read_all(other, step);
        CHECK(of_other.error == ErrorKind::corrupt);
        CHECK(of_other.content.size() < 10);

        REQUIRE(inner.rewind());
        CheckedSource longer(inner, 9, right);
        const Outcome of_longer = read_all(longer, step);
        CHECK(of_longer.error == ErrorKind::corrupt);
        CHECK(of_longer.content.size() < 9);

        REQUIRE(inner.rewind());
        CheckedSource shorter(inner, 11, right);
        CHECK(read_all(shorter, step).error == ErrorKind::corrupt);
    }
}

TEST_CASE("checked source: nothing is checked too", "[storage][source]") {
    MemorySource empty("");
    CheckedSource good(empty, 0, conf::sha256(""));
    CHECK(good.read({}) == 0U);
    CHECK(good.md5());
    CheckedSource other(empty, 0, conf::sha256("x"));
    CHECK_FALSE(other.read({}));
    MemorySource some("x");
    CheckedSource longer(some, 0, conf::sha256(""));
    CHECK_FALSE(longer.read({}));
}

TEST_CASE("hash source: hashes, and begins again", "[storage][source]") {
    MemorySource source("0123456789");
    CHECK(hash_source(source, 10) == conf::sha256("0123456789"));
    std::array<char, 2> begin{};
    CHECK(source.read(begin) == 2U);
    CHECK(begin[0] == '0');
    REQUIRE(source.rewind());
    CHECK(hash_source(source, 9).error().kind == ErrorKind::corrupt);
    REQUIRE(source.rewind());
    CHECK(hash_source(source, 11).error().kind == ErrorKind::corrupt);
}
