#include "conf/digest.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::conf;

namespace {

std::span<const std::uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TEST_CASE("digest: known values of SHA-256 and MD5", "[conf][digest]") {
    CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex(md5("")) == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(hex(md5("message digest")) == "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST_CASE("digest: a copy goes on from where the first one is", "[conf][digest]") {
    const std::string_view text =
        "all that there is to be said, in more than one block of the hash's";
    for (const std::size_t at : {std::size_t{0}, std::size_t{5}, text.size()}) {
        CAPTURE(at);
        Sha256 first;
        Md5 first_md5;
        first.update(text.substr(0, at));
        first_md5.update(text.substr(0, at));
        Sha256 second = first;
        Md5 second_md5 = first_md5;
        first.update(std::string_view("something else"));
        first_md5.update(std::string_view("something else"));
        second.update(text.substr(at));
        second_md5.update(text.substr(at));
        CHECK(second.finish() == sha256(text));
        CHECK(second_md5.finish() == md5(text));
        const std::string other = std::string(text.substr(0, at)) + "something else";
        CHECK(first.finish() == sha256(other));
        CHECK(first_md5.finish() == md5(other));
    }
}

TEST_CASE("digest: a fingerprint knows bytes again, in whatever pieces", "[conf][digest]") {
    const auto print_of = [](std::string_view text, std::size_t step) {
        Fingerprint running;
        for (std::size_t at = 0; at < text.size(); at += step)
            running.update(text.substr(at, step));
        return running.finish();
    };
    std::string text;
    for (int i = 0; i < 5'000; ++i)
        text += static_cast<char>(i * 7 + i / 256);
    const auto print = print_of(text, text.size());
    for (const std::size_t step : {1UL, 15UL, 16UL, 17UL, 4096UL})
        CHECK(print_of(text, step) == print);
    CHECK(print_of("", 1) != print);
    CHECK(print_of(text + '\0', 6'000) != print);
    for (const std::size_t at : {0UL, 16UL, 2'500UL, 4'999UL}) {
        std::string other = text;
        other[at] = static_cast<char>(other[at] ^ 1);
        CHECK(print_of(other, other.size()) != print);
    }
}

TEST_CASE("digest: HMAC-SHA256 as RFC 4231 has it", "[conf][digest]") {
    CHECK(hex(hmac_sha256(bytes("Jefe"), "what do ya want for nothing?")) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const std::string long_key(131, '\xAA');
    CHECK(hex(hmac_sha256(bytes(long_key),
                          "Test Using Larger Than Block-Size Key - Hash Key First")) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("digest: hex is read back in either case, and nothing else is", "[conf][digest]") {
    const Sha256Digest digest = sha256("abc");
    std::string text = hex(digest);
    CHECK(parse_sha256(text) == digest);
    for (char& c : text)
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    CHECK(parse_sha256(text) == digest);
    CHECK_FALSE(parse_sha256(text.substr(1)));
    CHECK_FALSE(parse_sha256(text + "0"));
    text[7] = 'g';
    CHECK_FALSE(parse_sha256(text));
    CHECK_FALSE(parse_sha256(""));
}

TEST_CASE("digest: bytes of hex digits", "[conf][digest]") {
    CHECK(parse_hex("00fFa1") == std::vector<std::uint8_t>{0, 255, 161});
    CHECK(parse_hex("") == std::vector<std::uint8_t>{});
    for (const char* const text : {"0", "000", "0g", "g0", " 0", "0x00", "00 "})
        CHECK_FALSE(parse_hex(text));
}

TEST_CASE("digest: base64 for URLs", "[conf][digest]") {
    CHECK(base64url(bytes("")) == "");
    CHECK(base64url(bytes("f")) == "Zg");
    CHECK(base64url(bytes("fo")) == "Zm8");
    CHECK(base64url(bytes("foo")) == "Zm9v");
    CHECK(base64url(bytes("\xFB\xEF\xBE\xFF\xFF\xFF")) == "----____");
}

TEST_CASE("digest: base64 for URLs is read back", "[conf][digest]") {
    CHECK(parse_base64url("") == std::vector<std::uint8_t>{});
    CHECK(parse_base64url("Zg") == std::vector<std::uint8_t>{'f'});
    CHECK(parse_base64url("Zm8") == std::vector<std::uint8_t>{'f', 'o'});
    CHECK(parse_base64url("Zm9v") == std::vector<std::uint8_t>{'f', 'o', 'o'});
    CHECK(parse_base64url("----____") ==
          std::vector<std::uint8_t>{0xFB, 0xEF, 0xBE, 0xFF, 0xFF, 0xFF});
    std::vector<std::uint8_t> written;
    for (int i = 0; i < 300; ++i) {
        CHECK(parse_base64url(base64url(written)) == written);
        written.push_back(static_cast<std::uint8_t>(i * 37 + i / 256));
    }
}

TEST_CASE("digest: what is no base64 for URLs", "[conf][digest]") {
    for (const char* const text : {"A", "AAAAA", "Zg==", "Zm8=", "Zg=", "=", "Zm9v=", "+A", "/A",
                                   "Zm9 v", " Zm9v", "Zm9v\n", "Zm9\xC3", "Zm.v", "Z,", "Zm9v!"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_base64url(text));
    }
    CHECK_FALSE(parse_base64url(std::string_view("Zm9\0", 4)));
}

TEST_CASE("digest: of all texts of some bytes only one is read", "[conf][digest]") {
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    int read = 0;
    for (const char last : alphabet) {
        for (const std::string& text : {std::string("Z") + last, std::string("Zm") + last}) {
            const auto parsed = parse_base64url(text);
            if (!parsed) continue;
            ++read;
            CHECK(base64url(*parsed) == text);
        }
    }
    CHECK(read == 4 + 16);
}

TEST_CASE("digest: comparing in constant time", "[conf][digest]") {
    CHECK(equal_in_constant_time("", ""));
    CHECK(equal_in_constant_time("abc", "abc"));
    CHECK_FALSE(equal_in_constant_time("abc", "abd"));
    CHECK_FALSE(equal_in_constant_time("abc", "ab"));
    CHECK_FALSE(equal_in_constant_time("ab", "abc"));
}

TEST_CASE("digest: base64 of each remainder", "[conf][digest]") {
    CHECK(base64(bytes("")) == "");
    CHECK(base64(bytes("f")) == "Zg==");
    CHECK(base64(bytes("fo")) == "Zm8=");
    CHECK(base64(bytes("foo")) == "Zm9v");
    CHECK(base64(md5("")) == "1B2M2Y8AsgTpgAmY7PhCfg==");
}
