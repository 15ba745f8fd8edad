#include "storage/s3_object.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

TEST_CASE("s3 object: content ranges", "[storage][s3]") {
    const auto range = parse_content_range("bytes 10-19/100");
    REQUIRE(range);
    CHECK(range->first == 10);
    CHECK(range->last == 19);
    CHECK(range->total == 100);
    for (const std::string text :
         {"", "bytes", "bytes */100", "bytes 10-19/*", "bytes 10-19", "bytes 19-10/100",
          "bytes 10-100/100", "bytes 10-19/100 ", "bytes -5/100", "items 10-19/100",
          "bytes 10-19/99999999999999999999", "bytes 0x1-19/100"}) {
        INFO(text);
        CHECK_FALSE(parse_content_range(text));
    }
}

TEST_CASE("s3 object: which ETags are an MD5", "[storage][s3]") {
    const std::string md5 = "0cc175b9c0f1b6a831c399e269772661";
    const auto of = [](const std::string& etag, const std::string& encryption = "") {
        return md5_in({.headers = {{"etag", etag}, {"x-amz-server-side-encryption", encryption}}});
    };
    CHECK(of("\"" + md5 + "\"") == md5);
    CHECK(of(md5) == md5);
    CHECK(of("\"" + md5 + "\"", "AES256") == md5);
    CHECK_FALSE(of("\"" + md5 + "\"", "aws:kms"));
    CHECK_FALSE(of("\"" + md5 + "-3\""));
    CHECK_FALSE(of("W/\"" + md5 + "\""));
    CHECK_FALSE(of("\"\""));
    CHECK_FALSE(md5_in({}));
}

TEST_CASE("s3 object: what headers say", "[storage][s3]") {
    const HttpAnswer answer{.headers = {{"content-length", "12"},
                                        {"etag", "\"e\""},
                                        {"x-amz-version-id", "v1"},
                                        {"content-type", "image/png"},
                                        {"x-amz-meta-sha256", conf::hex(conf::sha256("x"))}},
                            .modified_s = 7};
    const ObjectInfo object = object_of("a", answer);
    CHECK(object.key == "a");
    CHECK(object.size == 12);
    CHECK(object.modified_s == 7);
    CHECK(object.etag == "e");
    CHECK(object.version_id == "v1");
    CHECK(object.content_type == "image/png");
    CHECK(object.sha256 == conf::sha256("x"));
    CHECK_FALSE(object_of("a", {.headers = {{"x-amz-meta-sha256", "zz"}}}).sha256);
    CHECK_FALSE(HttpAnswer{.headers = {{"content-length", "12, 12"}}}.length());
    CHECK_FALSE(HttpAnswer{.headers = {{"content-length", ""}}}.length());
}
