// The vectors are those of the contract's section 8.5, the traps those of 8.2.
#include "storage/sigv4.h"

#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

constexpr std::int64_t kMidnight = 1369353600;  // 20130524T000000Z
const std::string kHost = "examplebucket.s3.amazonaws.com";

const Signer& example() {
    static const Signer signer("AKIAIOSFODNN7EXAMPLE",
                               conf::Secret("env:S", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                               "us-east-1");
    return signer;
}

std::vector<NamedValue> with_usual(std::vector<NamedValue> headers, std::string payload_hash) {
    headers.push_back({"host", kHost});
    headers.push_back({"x-amz-content-sha256", std::move(payload_hash)});
    headers.push_back({"x-amz-date", amz_time(kMidnight)});
    return headers;
}

std::string signature_of(const Signable& request) {
    const std::string text = example().authorization(request, kMidnight);
    return text.substr(text.find("Signature=") + 10);
}

}  // namespace

TEST_CASE("sigv4: a ranged GET", "[storage][sigv4]") {
    const auto headers = with_usual({{"Range", "bytes=0-9"}}, std::string(kEmptyPayload));
    const std::string text = example().authorization(
        {.method = "GET", .path = "/test.txt", .headers = headers}, kMidnight);
    CHECK(text ==
          "AWS4-HMAC-SHA256 "
          "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
          "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_CASE("sigv4: a PUT with a payload and a key to be encoded", "[storage][sigv4]") {
    const std::string hash = conf::hex(conf::sha256("Welcome to Amazon S3."));
    const auto headers = with_usual(
        {{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
        hash);
    const std::string path = encode_path("/test$file.text");
    CHECK(path == "/test%24file.text");
    CHECK(signature_of({.method = "PUT", .path = path, .headers = headers, .payload_hash = hash}) ==
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST_CASE("sigv4: queries without a value, and with some", "[storage][sigv4]") {
    const auto headers = with_usual({}, std::string(kEmptyPayload));
    const std::string lifecycle = encode_query(std::vector<NamedValue>{{"lifecycle", ""}});
    CHECK(lifecycle == "lifecycle=");
    CHECK(signature_of({.method = "GET", .query = lifecycle, .headers = headers}) ==
          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    const std::string list =
        encode_query(std::vector<NamedValue>{{"prefix", "J"}, {"max-keys", "2"}});
    CHECK(signature_of({.method = "GET", .query = list, .headers = headers}) ==
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE("sigv4: a presigned URL", "[storage][sigv4]") {
    CHECK(example().presigned_query("GET", "/test.txt", kHost, {}, kMidnight, 86'400) ==
          "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
          "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
          "X-Amz-SignedHeaders=host&X-Amz-Signature="
          "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST_CASE("sigv4: paths are encoded once and never normalised", "[storage][sigv4]") {
    struct Case {
        std::string path, encoded;
    };
    for (const Case& c : std::vector<Case>{
             {"/a/b.jpg", "/a/b.jpg"},
             {"/AZaz09-._~", "/AZaz09-._~"},
             {"/@=+()*!',:;$&", "/%40%3D%2B%28%29%2A%21%27%2C%3A%3B%24%26"},
             {"/a b+c", "/a%20b%2Bc"},
             {"/\xC3\xA4", "/%C3%A4"},
             {"/%C3", "/%25C3"},  // what looks encoded is a name like any other
             {"/a//b/../c/.", "/a//b/../c/."},
             {"/?#[]\"<>\\^`{|}", "/%3F%23%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D"},
             {std::string("/\0\x7F", 3), "/%00%7F"},
         }) {
        CHECK(encode_path(c.path) == c.encoded);
    }
}

TEST_CASE("sigv4: queries are encoded, then sorted", "[storage][sigv4]") {
    struct Case {
        std::vector<NamedValue> parameters;
        std::string query;
    };
    for (const Case& c : std::vector<Case>{
             {{}, ""},
             {{{"prefix", "uploads/"}, {"list-type", "2"}}, "list-type=2&prefix=uploads%2F"},
             {{{"versions", ""}}, "versions="},
             {{{"a", "x y"}, {"a", "x+y"}}, "a=x%20y&a=x%2By"},
             {{{"b", "2"}, {"a", "2"}, {"a", "10"}}, "a=10&a=2&b=2"},
             // By the encoded name: "%" stands before every letter and digit.
             {{{"a", ""}, {"\xC3\xA4", ""}}, "%C3%A4=&a="},
             {{{"uploadId", "2~x/y=="}, {"partNumber", "1"}},
              "partNumber=1&uploadId=2~x%2Fy%3D%3D"},
             {{{"X-Amz-Date", "z"}, {"a", ""}}, "X-Amz-Date=z&a="},  // upper case first
         }) {
        CHECK(encode_query(c.parameters) == c.query);
    }
}

// curl 7.88 sorts whole lines and so gets these wrong.
TEST_CASE("sigv4: headers are sorted by name, folded and joined", "[storage][sigv4]") {
    const auto signed_names = [](std::vector<NamedValue> headers) {
        const std::string text =
            example().authorization({.method = "GET", .headers = headers}, kMidnight);
        const std::size_t start = text.find("SignedHeaders=") + 14;
        return text.substr(start, text.find(',', start) - start);
    };
    CHECK(signed_names({{"x-amz-meta-a-b", "1"}, {"x-amz-meta-a", "2"}, {"host", "h"}}) ==
          "host;x-amz-meta-a;x-amz-meta-a-b");
    CHECK(signed_names({{"x-amz-copy-source-if-match", "1"}, {"X-Amz-Copy-Source", "2"}}) ==
          "x-amz-copy-source;x-amz-copy-source-if-match");
    CHECK(signed_names({{"x-amz-a", "1"}, {"X-AMZ-A", "2"}}) == "x-amz-a");

    const auto of = [](std::vector<NamedValue> headers) {
        return signature_of({.method = "GET", .headers = headers});
    };
    CHECK(of({{"host", "h"}, {"a", " x   y\t"}}) == of({{"A", "x y"}, {"Host", "h"}}));
    CHECK(of({{"host", "h"}, {"a", "1"}, {"a", "2"}}) == of({{"host", "h"}, {"a", "1,2"}}));
    CHECK(of({{"host", "h"}, {"a", "1"}, {"a", "2"}}) !=
          of({{"host", "h"}, {"a", "2"}, {"a", "1"}}));
    CHECK(of({{"host", "h"}, {"x-amz-meta-a", "1"}, {"x-amz-meta-a-b", "2"}}) ==
          of({{"x-amz-meta-a-b", "2"}, {"x-amz-meta-a", "1"}, {"host", "h"}}));
}

TEST_CASE("sigv4: times", "[storage][sigv4]") {
    CHECK(amz_time(0) == "19700101T000000Z");
    CHECK(amz_time(kMidnight) == "20130524T000000Z");
    CHECK(amz_time(1709251199) == "20240229T235959Z");
    CHECK(amz_time(4102444800) == "21000101T000000Z");
}

TEST_CASE("sigv4: the day's key is renewed at midnight, on every thread", "[storage][sigv4]") {
    const auto headers = with_usual({}, std::string(kEmptyPayload));
    const Signer fresh("id", conf::Secret("env:S", "secret"), "r");
    const Signer used("id", conf::Secret("env:S", "secret"), "r");
    const Signable request{.method = "GET", .path = "/a", .headers = headers};
    std::vector<std::thread> threads;
    std::vector<std::string> results(8);
    for (std::size_t i = 0; i < results.size(); ++i) {
        threads.emplace_back([&, i] {
            for (int k = 0; k < 200; ++k)
                results[i] = used.authorization(request, kMidnight - 1 + k % 2);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    for (const std::string& result : results)
        CHECK(result == fresh.authorization(request, kMidnight));
    CHECK(fresh.authorization(request, kMidnight) != fresh.authorization(request, kMidnight - 1));
}
