#include "proxy/upload/upload_token.h"

#include "conf/digest.h"

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::upload;

namespace {

constexpr std::string_view kSecret = "correct horse battery staple";
constexpr std::int64_t kNow = 1'790'000'000;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::span<const std::uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::vector<conf::Secret> secrets(std::initializer_list<std::string_view> values) {
    std::vector<conf::Secret> made;
    for (const std::string_view value : values)
        made.emplace_back("env:TEST", std::string(value));
    return made;
}

// Any payload, signed well.
std::string token_of(std::string_view payload, std::string_view secret = kSecret) {
    return conf::base64url(bytes(payload)) + "." +
           conf::base64url(conf::hmac_sha256(bytes(secret), payload));
}

std::string payload_of(std::string_view token) {
    const auto payload = conf::parse_base64url(token.substr(0, token.find('.')));
    REQUIRE(payload);
    return {payload->begin(), payload->end()};
}

void check_denied(std::string_view token, std::string_view how,
                  std::vector<conf::Secret> keys = secrets({kSecret})) {
    CAPTURE(token);
    const auto verified = verify(token, keys, kNow);
    REQUIRE_FALSE(verified);
    CHECK(verified.error().kind == ErrorKind::denied);
    CHECK(verified.error().text == "the upload token is " + std::string(how));
}

UploadToken read(std::string_view payload) {
    CAPTURE(payload);
    const auto verified = verify(token_of(payload), secrets({kSecret}), kNow);
    REQUIRE(verified);
    return *verified;
}

}  // namespace

TEST_CASE("upload token: its payload is as the app writes it", "[upload][token]") {
    CHECK(payload_of(sign({"42", 7, 1'048'576, kNow}, kSecret)) ==
          R"({"user_id":42,"pool_id":7,"max_bytes":1048576,"exp":1790000000})");
    CHECK(payload_of(sign({"me \"\\", 0, 0, 0}, kSecret)) ==
          R"({"user_id":"me \"\\","pool_id":0,"max_bytes":0,"exp":0})");
    CHECK(payload_of(sign({"0", 1, 1, 1}, kSecret)).starts_with(R"({"user_id":0,)"));
    // What would not come back as it is written stays text.
    for (const std::string user : {"007", "00", "9223372036854775808", "-1", "1.0", "1e3", "4 2"}) {
        CAPTURE(user);
        CHECK(payload_of(sign({user, 1, 1, 1}, kSecret))
                  .starts_with("{\"user_id\":\"" + user + "\","));
    }
}

TEST_CASE("upload token: a token that another program made", "[upload][token]") {
    // printf PAYLOAD | openssl dgst -sha256 -hmac "correct horse battery staple" -binary | basenc
    // --base64url
    const std::string token =
        "eyJ1c2VyX2lkIjo0MiwicG9vbF9pZCI6NywibWF4X2J5dGVzIjoxMDQ4NTc2LCJleHAiOjE3OTAwMDE4MDB9."
        "0WJzZnjvAsjcGSV8iAb9GIf_QNSdk-oy-D6SQ6xzftQ";
    CHECK(sign({"42", 7, 1'048'576, kNow + 1800}, kSecret) == token);
    CHECK(*verify(token, secrets({kSecret}), kNow) == UploadToken{"42", 7, 1'048'576, kNow + 1800});
}

TEST_CASE("upload token: what was signed is read back", "[upload][token]") {
    for (const UploadToken& token : std::initializer_list<UploadToken>{
             {"1", 1, 1, kNow + 1},
             {"0", 0, 0, kMost},
             {std::to_string(kMost), kMost, static_cast<std::uint64_t>(kMost), kMost},
             {"9223372036854775808", 3, 5, kNow + 1800},
             {"007", 3, 5, kNow + 1800},
             {"b3b2f3c4-0000-4000-8000-000000000000", 3, 5, kNow + 1800},
             {R"( "\/~)", 3, 5, kNow + 1800},
             {std::string(64, 'x'), 3, 5, kNow + 1800}}) {
        CAPTURE(token.user);
        const auto verified = verify(sign(token, kSecret), secrets({kSecret}), kNow);
        REQUIRE(verified);
        CHECK(*verified == token);
    }
}

TEST_CASE("upload token: any of several secrets will do", "[upload][token]") {
    const UploadToken token{"1", 2, 3, kNow + 60};
    const auto keys = secrets({"new", "old", "older"});
    for (const std::string_view secret : {"new", "old", "older"})
        CHECK(*verify(sign(token, secret), keys, kNow) == token);
    check_denied(sign(token, "oldest"), "forged", keys);
    check_denied(sign(token, kSecret), "forged", {});
    const std::string long_secret(200, 'k');
    CHECK(*verify(sign(token, long_secret), secrets({long_secret}), kNow) == token);
}

TEST_CASE("upload token: an empty secret signs nothing", "[upload][token]") {
    const UploadToken token{"1", 2, 3, kNow + 60};
    check_denied(sign(token, ""), "forged", secrets({""}));
    check_denied(sign(token, ""), "forged", secrets({"", "other"}));
    CHECK(verify(sign(token, "other"), secrets({"", "other"}), kNow));
}

TEST_CASE("upload token: it is valid until it expires", "[upload][token]") {
    const auto keys = secrets({kSecret});
    const std::string token = sign({"1", 2, 3, kNow}, kSecret);
    CHECK(verify(token, keys, kNow - 1));
    CHECK(verify(token, keys, 0));
    check_denied(token, "expired");
    CHECK_FALSE(verify(token, keys, kNow + 1));
    CHECK_FALSE(verify(token, keys, kMost));
    check_denied(sign({"1", 2, 3, 0}, kSecret), "expired");
}

TEST_CASE("upload token: any bit that is changed makes it another", "[upload][token]") {
    const std::string token = sign({"42", 7, 1000, kNow + 1800}, kSecret);
    const auto keys = secrets({kSecret});
    for (std::size_t at = 0; at < token.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string other = token;
            other[at] = static_cast<char>(other[at] ^ (1 << bit));
            if (verify(other, keys, kNow)) FAIL_CHECK("bit " << bit << " of byte " << at);
        }
        if (verify(token.substr(0, at), keys, kNow)) FAIL_CHECK("cut at " << at);
        std::string longer = token;
        longer.insert(at, 1, 'A');
        if (verify(longer, keys, kNow)) FAIL_CHECK("longer at " << at);
    }
    check_denied(sign({"42", 7, 1000, kNow + 1800}, "other"), "forged");
    const std::string other = sign({"43", 7, 1000, kNow + 1800}, kSecret);
    check_denied(other.substr(0, other.find('.')) + token.substr(token.find('.')), "forged");
}

TEST_CASE("upload token: text of another form is malformed", "[upload][token]") {
    const std::string token = sign({"42", 7, 1000, kNow + 1800}, kSecret);
    const std::string signature = token.substr(token.find('.'));
    check_denied("", "malformed");
    check_denied(".", "malformed");
    check_denied("a.b.c", "malformed");
    check_denied(token.substr(0, token.find('.')), "malformed");
    check_denied(token.substr(0, token.find('.') + 1), "malformed");
    check_denied(token + "=", "malformed");
    check_denied(token + " ", "malformed");
    check_denied(" " + token, "malformed");
    check_denied(token + "." + signature, "malformed");
    check_denied(token.substr(0, token.size() - 2), "malformed");
    check_denied(token + "AAAA", "malformed");
    check_denied("Zg==" + signature, "malformed");
    check_denied("Z+/v" + signature, "malformed");
    check_denied(signature, "forged");  // of an empty payload, but not its own
    check_denied(token_of(""), "malformed");
    check_denied(std::string(5000, 'A') + signature, "malformed");
}

TEST_CASE("upload token: more than 4 KiB is malformed, whoever signed it", "[upload][token]") {
    const std::string start = R"({"user_id":1,"pool_id":2,"max_bytes":3,"exp":1790000001,"x":")";
    const auto padded = [&](std::size_t size) {
        return token_of(start + std::string(size - start.size() - 2, 'x') + "\"}");
    };
    // A payload of 3039 bytes is 4052 characters; with the dot and the signature 4096.
    REQUIRE(padded(3039).size() == 4096);
    CHECK(verify(padded(3039), secrets({kSecret}), kNow));
    check_denied(padded(3040), "malformed");
}

TEST_CASE("upload token: payloads of the app", "[upload][token]") {
    const UploadToken token{"1", 2, 3, 1'790'000'001};
    CHECK(read(R"({"user_id":1,"pool_id":2,"max_bytes":3,"exp":1790000001})") == token);
    CHECK(read(R"({"exp":1790000001,"max_bytes":3,"pool_id":2,"user_id":1})") == token);
    CHECK(read(R"({"user_id":"1","pool_id":2,"max_bytes":3,"exp":1790000001})") == token);
    CHECK(read(" { \"user_id\" : 1, \"pool_id\":2,\n\"max_bytes\":3,\"exp\":1790000001 } ") ==
          token);
    CHECK(read(R"({"v":[1,{"a":null}],"user_id":1,"pool_id":2,"max_bytes":3,"exp":1790000001})") ==
          token);
    CHECK(read(R"({"user_id":"\u0061","pool_id":2,"max_bytes":3,"exp":1790000001})").user == "a");
    const std::string longest(64, '~');
    CHECK(read("{\"user_id\":\"" + longest + "\",\"pool_id\":2,\"max_bytes\":3,\"exp\":1790000001}")
              .user == longest);
}

TEST_CASE("upload token: signed payloads that say nothing are malformed", "[upload][token]") {
    for (const char* payload :
         {"", "x", "null", "1", "[]", "\"text\"", "{}", "{", "[{\"user_id\":1}]",
          R"({"pool_id":2,"max_bytes":3,"exp":1790000001})",
          R"({"user_id":1,"max_bytes":3,"exp":1790000001})",
          R"({"user_id":1,"pool_id":2,"exp":1790000001})",
          R"({"user_id":1,"pool_id":2,"max_bytes":3})",
          R"({"user_id":1,"pool_id":2,"max_bytes":3,"exp":1790000001}x)"}) {
        check_denied(token_of(payload), "malformed");
    }
    // No such value of any field.
    for (const char* value :
         {"null", "true", "-1", "1.0", "1e3", "9223372036854775808", "18446744073709551616", "[1]",
          "{}", "\"\"", "\"\\u0000\"", "\"\\n\"", "\"\xC3\xA4\"", "\"\xFF\"", "01", "+1"}) {
        const std::string text = value;
        check_denied(
            token_of(R"({"user_id":)" + text + R"(,"pool_id":2,"max_bytes":3,"exp":1790000001})"),
            "malformed");
        check_denied(
            token_of(R"({"user_id":1,"pool_id":)" + text + R"(,"max_bytes":3,"exp":1790000001})"),
            "malformed");
        check_denied(
            token_of(R"({"user_id":1,"pool_id":2,"max_bytes":)" + text + R"(,"exp":1790000001})"),
            "malformed");
        check_denied(token_of(R"({"user_id":1,"pool_id":2,"max_bytes":3,"exp":)" + text + "}"),
                     "malformed");
    }
    check_denied(token_of(R"({"user_id":1,"pool_id":"2","max_bytes":3,"exp":1790000001})"),
                 "malformed");
    check_denied(token_of(R"({"user_id":1,"pool_id":2,"max_bytes":"3","exp":1790000001})"),
                 "malformed");
    check_denied(token_of(R"({"user_id":1,"pool_id":2,"max_bytes":3,"exp":"1790000001"})"),
                 "malformed");
    check_denied(token_of("{\"user_id\":\"" + std::string(65, 'x') +
                          "\",\"pool_id\":2,\"max_bytes\":3,\"exp\":1790000001}"),
                 "malformed");
    check_denied(token_of(std::string(3000, '[')), "malformed");
}
