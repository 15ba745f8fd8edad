#include "conf/bytes.h"

#include <limits>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::conf;
using namespace std::chrono_literals;

TEST_CASE("bytes: a size is a whole number and a unit", "[conf][bytes]") {
    struct Case {
        const char* text;
        std::uint64_t bytes;
    };
    const Case cases[] = {
        {"0", 0},
        {"0B", 0},
        {"123", 123},
        {"123B", 123},
        {"0123", 123},
        {"1KiB", 1024},
        {"64KiB", 65'536},
        {"64MiB", 64 * kMiB},
        {"3GiB", 3 * kGiB},
        {"2TiB", 2 * kTiB},
        {"1kB", 1'000},
        {"5MB", 5'000'000},
        {"5GB", 5'000'000'000},
        {"5TB", 5'000'000'000'000},
        {"18446744073709551615", std::numeric_limits<std::uint64_t>::max()},
        {"16777215TiB", 16'777'215 * kTiB},
    };
    for (const auto& [text, bytes] : cases) {
        INFO(text);
        const auto size = parse_size(text);
        REQUIRE(size);
        CHECK(*size == bytes);
    }
}

TEST_CASE("bytes: what is no size is refused with the units to write", "[conf][bytes]") {
    for (const char* text :
         {"", "KiB", "64 KiB", " 64KiB", "64KiB ", "64kib", "64K", "64KB", "64mb", "-1", "+1",
          "1.5MiB", "1e3", "0x10", "64MiBB", "\n", "1KiB2", "٣"}) {
        INFO(text);
        const auto size = parse_size(text);
        REQUIRE(!size);
        CHECK(size.error().kind == ErrorKind::invalid);
        CHECK(size.error().text.find("MiB") != std::string::npos);
    }
}

TEST_CASE("bytes: a size that does not fit 64 bits is too large, not wrapped", "[conf][bytes]") {
    for (const char* text : {"18446744073709551616", "16777216TiB", "18446744073709551615KiB",
                             "99999999999999999999999", "18446744073710MB"}) {
        INFO(text);
        const auto size = parse_size(text);
        REQUIRE(!size);
        CHECK(size.error().text.find("too large") != std::string::npos);
    }
}

TEST_CASE("bytes: a formatted size is short and exact", "[conf][bytes]") {
    CHECK(format_size(0) == "0B");
    CHECK(format_size(1) == "1B");
    CHECK(format_size(1000) == "1000B");
    CHECK(format_size(1024) == "1KiB");
    CHECK(format_size(65'537) == "65537B");
    CHECK(format_size(1536 * kKiB) == "1536KiB");
    CHECK(format_size(256 * kMiB) == "256MiB");
    CHECK(format_size(kGiB) == "1GiB");
    CHECK(format_size(2048 * kGiB) == "2TiB");
}

TEST_CASE("bytes: a formatted size reads back as itself", "[conf][bytes]") {
    for (unsigned shift = 0; shift < 64; ++shift) {
        for (const std::uint64_t value : {1ULL << shift, (1ULL << shift) - 1, 3ULL << shift}) {
            INFO(value);
            CHECK(parse_size(format_size(value)).value() == value);
        }
    }
}

TEST_CASE("bytes: a duration is a whole number and a unit", "[conf][bytes]") {
    struct Case {
        const char* text;
        std::chrono::milliseconds duration;
    };
    const Case cases[] = {
        {"0ms", 0ms},
        {"0s", 0ms},
        {"250ms", 250ms},
        {"2s", 2s},
        {"930s", 930s},
        {"15m", 15min},
        {"1h", 1h},
        {"14d", 14 * 24h},
        {"9223372036854775807ms", std::chrono::milliseconds::max()},
    };
    for (const auto& [text, duration] : cases) {
        INFO(text);
        const auto parsed = parse_duration(text);
        REQUIRE(parsed);
        CHECK(*parsed == duration);
    }
}

TEST_CASE("bytes: what is no duration is refused with the units to write", "[conf][bytes]") {
    for (const char* text : {"", "0", "2", "s", "2 s", "2S", "2sec", "-2s", "1.5s", "1h30m", "1min",
                             "1w", "1us", "2s\n"}) {
        INFO(text);
        const auto parsed = parse_duration(text);
        REQUIRE(!parsed);
        CHECK(parsed.error().kind == ErrorKind::invalid);
        CHECK(parsed.error().text.find("ms, s, m, h or d") != std::string::npos);
    }
}

TEST_CASE("bytes: a duration that does not fit is too large, not negative", "[conf][bytes]") {
    for (const char* text : {"9223372036854775808ms", "9223372036854775807s", "106751991168d",
                             "18446744073709551616ms"}) {
        INFO(text);
        const auto parsed = parse_duration(text);
        REQUIRE(!parsed);
        CHECK(parsed.error().text.find("too large") != std::string::npos);
    }
}

TEST_CASE("bytes: a formatted duration is short, exact and reads back", "[conf][bytes]") {
    CHECK(format_duration(0ms) == "0s");
    CHECK(format_duration(250ms) == "250ms");
    CHECK(format_duration(1500ms) == "1500ms");
    CHECK(format_duration(930s) == "930s");
    CHECK(format_duration(60s) == "1m");
    CHECK(format_duration(24h) == "1d");
    CHECK(format_duration(-5ms) == "-5ms");
    CHECK(format_duration(std::chrono::milliseconds::max()) == "9223372036854775807ms");
    for (const auto value : {0ms, 1ms, 999ms, 1000ms, 61'000ms, 3'600'000ms, 86'400'001ms}) {
        CHECK(parse_duration(format_duration(value)).value() == value);
    }
}
