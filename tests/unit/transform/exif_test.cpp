#include "transform/exif.h"

#include "tests/unit/transform/exif_file.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool::test;
using namespace tidepool::transform;

namespace {

ExifFile camera(bool is_big_endian) {
    ExifFile file{.is_big_endian = is_big_endian};
    file.first = {ExifFile::ascii(0x010F, "Canon"), ExifFile::ascii(0x0110, "EOS R5")};
    file.details = {ExifFile::ascii(0x9003, "2026:02:25 13:14:15"),
                    ExifFile::ascii(0xA434, "RF24-105mm F4 L IS USM")};
    file.gps = {ExifFile::ascii(1, "S"), file.rationals(2, {33, 1, 51, 1, 2457, 100}),
                ExifFile::ascii(3, "E"), file.rationals(4, {151, 1, 12, 1, 0, 0})};
    return file;
}

std::string taken_of(const std::string& time) {
    ExifFile file;
    file.details = {ExifFile::ascii(0x9003, time)};
    return read_exif(file.tiff()).taken;
}

std::optional<GeoPosition> position_of(std::vector<std::uint32_t> latitude,
                                       const std::string& north = "N") {
    ExifFile file;
    file.gps = {ExifFile::ascii(1, north), file.rationals(2, latitude), ExifFile::ascii(3, "W"),
                file.rationals(4, {10, 1, 30, 1, 0, 1})};
    return read_exif(file.tiff()).position;
}

}  // namespace

TEST_CASE("exif: camera, lens, time and place, in both orders of bytes", "[inspect][exif]") {
    for (const bool is_big_endian : {false, true}) {
        for (const char* const before : {"", "Exif"}) {
            std::string data = before;
            if (!data.empty()) data.append(2, '\0');
            data += camera(is_big_endian).tiff();
            const Exif exif = read_exif(data);
            CHECK(exif.make == "Canon");
            CHECK(exif.model == "EOS R5");
            CHECK(exif.lens == "RF24-105mm F4 L IS USM");
            CHECK(exif.taken == "2026-02-25T13:14:15");
            REQUIRE(exif.position);
            CHECK(exif.position->latitude == Approx(-(33 + 51 / 60.0 + 24.57 / 3600)));
            CHECK(exif.position->longitude == Approx(151.2));
        }
    }
}

TEST_CASE("exif: short texts stand in the entry itself", "[inspect][exif]") {
    ExifFile file;
    file.first = {ExifFile::ascii(0x010F, "abc"), {0x0110, 2, 4, "wxyz"}};
    const std::string tiff = file.tiff();
    CHECK(read_exif(tiff).make == "abc");
    CHECK(read_exif(tiff).model == "wxyz");  // without the NUL that it should have
}

TEST_CASE("exif: a time that cannot be is none", "[inspect][exif]") {
    CHECK(taken_of("2024:02:29 23:59:59") == "2024-02-29T23:59:59");
    for (const char* const time :
         {"", "0000:00:00 00:00:00", "2025:02:29 00:00:00", "2026:13:01 00:00:00",
          "2026:02:25 24:00:00", "2026:02:25 00:60:00", "2026:02:25 00:00:60",
          "2026-02-25 13:14:15", "2026:02:25", "2026:02:25T13:14:15",
          "    :  :     :  :  ", "+026:02:25 13:14:15", "2026:02:25 13:14:1\n"})
        CHECK(taken_of(time).empty());
    CHECK(taken_of("2026:02:25 13:14:15 and more") == "2026-02-25T13:14:15");
    CHECK_FALSE(is_exif_time("2026-02-25T13:14:15Z"));
}

TEST_CASE("exif: a place that cannot be is none", "[inspect][exif]") {
    REQUIRE(position_of({48, 1, 8, 1, 0, 1}));
    CHECK(position_of({48, 1, 8, 1, 0, 1})->longitude == Approx(-10.5));
    CHECK(position_of({90, 1, 0, 1, 0, 1}));
    CHECK_FALSE(position_of({90, 1, 0, 1, 1, 1}));
    CHECK_FALSE(position_of({4'000'000'000, 1, 0, 1, 0, 1}));
    CHECK_FALSE(position_of({48, 0, 8, 1, 0, 1}));
    CHECK_FALSE(position_of({0, 0, 8, 1, 0, 1}));
    CHECK_FALSE(position_of({48, 1, 8, 0, 0, 1}));
    CHECK_FALSE(position_of({48, 1, 8, 1}));
    CHECK_FALSE(position_of({48, 1, 8, 1, 0, 1}, "X"));
    CHECK_FALSE(position_of({48, 1, 8, 1, 0, 1}, ""));
    CHECK_FALSE(is_on_earth({std::numeric_limits<double>::quiet_NaN(), 0}));
    CHECK_FALSE(is_on_earth({0, std::numeric_limits<double>::infinity()}));
}

TEST_CASE("exif: what is broken is left out", "[inspect][exif]") {
    const std::string whole = camera(true).tiff();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        // In memory of its own, so that sanitizers see what is read behind it.
        const std::string cut = whole.substr(0, length);
        const Exif exif = read_exif({cut.data(), cut.size()});
        CHECK((exif.make.empty() || exif.make == "Canon"));
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const char value : {'\0', '\x7F', '\xFF'}) {
            std::string changed = whole;
            changed[at] = value;
            const Exif exif = read_exif({changed.data(), changed.size()});
            CHECK((exif.taken.empty() || is_exif_time(exif.taken)));
            CHECK((!exif.position || is_on_earth(*exif.position)));
        }
    }
    ExifFile file = camera(false);
    file.first[0].count = 0xFFFFFFFF;
    file.gps[1].count = 0x40000003;
    const std::string tiff = file.tiff();
    CHECK(read_exif(tiff).make.empty());
    CHECK(read_exif(tiff).model == "EOS R5");
    CHECK_FALSE(read_exif(tiff).position);
    CHECK(read_exif({}).make.empty());
}
