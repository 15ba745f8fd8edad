#include "proxy/upload/tus_headers.h"

#include "conf/digest.h"
#include "proxy/upload/running_checksum.h"

#include <array>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;

namespace {

std::string base64(std::string_view text) {
    return conf::base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// "ALGORITHM BASE64" of `text`.
template <std::size_t Size>
std::string checksum_of(std::string_view algorithm, const std::array<std::uint8_t, Size>& digest) {
    return std::string(algorithm) + " " + conf::base64(digest);
}

conf::Sha1Digest sha1(std::string_view text) {
    conf::Sha1 running;
    running.update(text);
    return running.finish();
}

bool fits(const std::string& header, std::string_view text) {
    auto checksum = parse_tus_checksum(header);
    REQUIRE(checksum);
    RunningChecksum running(std::move(*checksum));
    running.update(text.substr(0, text.size() / 2));
    running.update(text.substr(text.size() / 2));
    return running.fits();
}

}  // namespace

TEST_CASE("tus: numbers are decimal digits and nothing else", "[upload][tus]") {
    CHECK(parse_tus_number("0") == 0);
    CHECK(parse_tus_number("007") == 7);
    CHECK(parse_tus_number("999999999999999999") == 999'999'999'999'999'999);
    for (const std::string_view text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1e3", "1_000",
                                        "1000000000000000000", "99999999999999999999999"})
        CHECK_FALSE(parse_tus_number(text));
}

TEST_CASE("tus: the file name among the metadata", "[upload][tus]") {
    const auto name_of = [](const std::string& metadata) {
        auto name = file_name_in(metadata);
        REQUIRE(name);
        return *name;
    };
    CHECK(name_of("") == "");
    CHECK(name_of("filename " + base64("a.png")) == "a.png");
    CHECK(name_of("filetype " + base64("image/png") + ",filename " + base64("b.png")) == "b.png");
    CHECK(name_of("filename " + base64("c.png") + ", empty") == "c.png");
    CHECK(name_of("empty,filename " + base64("d.png")) == "d.png");
    CHECK(name_of("name " + base64("e.png")) == "");
    CHECK(name_of("Filename " + base64("f.png")) == "");
    CHECK(name_of("filename " + base64("../../g.png")) == "g.png");
    CHECK(name_of("filename " + base64("C:\\folder\\h.png")) == "h.png");
    CHECK(name_of("filename " + base64("na\xC3\xAFve.png")) == "na\xC3\xAFve.png");
    CHECK(name_of("filename") == "");
}

TEST_CASE("tus: metadata that is none", "[upload][tus]") {
    for (const std::string& metadata :
         {std::string(","), std::string(",,"), std::string("a,,b"), std::string("filename *"),
          std::string("filename YQ"), std::string("filename YQ="), std::string("filename YR=="),
          std::string("filename YQ==="), std::string("filename _-8="), std::string("filename a b"),
          std::string("\x01 YQ=="), std::string("k\xC3\xA9y YQ=="), std::string("a,a"),
          "filename " + base64("a\n.png"), "filename " + base64("a\xFF.png"),
          "filename " + base64(std::string("a\0.png", 6)),
          "filename " + base64(std::string(1025, 'a')), "x " + base64(std::string(9000, 'a'))}) {
        CAPTURE(metadata.substr(0, 60));
        const auto name = file_name_in(metadata);
        REQUIRE_FALSE(name);
        CHECK(name.error().kind == ErrorKind::invalid);
    }
}

TEST_CASE("tus: checksums of every algorithm", "[upload][tus]") {
    constexpr std::string_view kText = "hello world";
    const std::array headers{checksum_of("md5", conf::md5(kText)), checksum_of("sha1", sha1(kText)),
                             checksum_of("sha256", conf::sha256(kText))};
    CHECK(headers[1] == "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=");  // as the specification has it
    for (const std::string& header : headers) {
        CHECK(fits(header, kText));
        CHECK_FALSE(fits(header, "hello worle"));
        CHECK_FALSE(fits(header, ""));
    }
    CHECK(fits("SHA256 " + conf::base64(conf::sha256("")), ""));
}

TEST_CASE("tus: checksums that are none", "[upload][tus]") {
    for (const std::string& header :
         {std::string(), std::string("sha1"), std::string("sha1 "), std::string("sha1 AAAA"),
          std::string("crc32 AAAAAA=="), std::string(" Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
          std::string("sha1 Kq5sNclPz7QV2-lfQIuc6R7oRu0="), checksum_of("sha256", conf::md5("")),
          checksum_of("md5", conf::sha256("")), checksum_of("sha512", conf::sha256(""))}) {
        CAPTURE(header);
        CHECK_FALSE(parse_tus_checksum(header));
    }
}
