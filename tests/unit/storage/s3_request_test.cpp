#include "storage/s3_request.h"

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

namespace {

constexpr std::int64_t kNow = 1369353600;

conf::PoolSettings pool() {
    conf::PoolSettings settings;
    settings.name = "cold";
    settings.storage_type = conf::PoolSettings::Type::s3;
    settings.access_key_id = conf::Secret("", "keyid");
    settings.secret_access_key = conf::Secret("env:S", "TOPSECRET");
    settings.region = "us-west-001";
    settings.bucket = "pixelfox-dev";
    settings.endpoint_url = "https://s3.us-west-001.backblazeb2.com";
    settings.download_url = "https://f001.backblazeb2.com";
    return settings;
}

std::string header(const StoreRequest& request, std::string_view name) {
    const auto found = std::ranges::find(request.headers, name, &NamedValue::name);
    return found == request.headers.end() ? "(none)" : found->value;
}

std::string signed_names(const StoreRequest& request) {
    const std::string text = header(request, "authorization");
    const std::size_t start = text.find("SignedHeaders=") + 14;
    return text.substr(start, text.find(',', start) - start);
}

}  // namespace

TEST_CASE("s3 request: both ways to address a bucket", "[storage][s3]") {
    conf::PoolSettings settings = pool();
    CHECK(S3Requests(settings).get("uploads/a b.jpg", {}, kNow).url ==
          "https://s3.us-west-001.backblazeb2.com/pixelfox-dev/uploads/a%20b.jpg");
    settings.addressing = conf::PoolSettings::Addressing::virtual_host;
    CHECK(S3Requests(settings).get("uploads/a+b.jpg", {}, kNow).url ==
          "https://pixelfox-dev.s3.us-west-001.backblazeb2.com/uploads/a%2Bb.jpg");
    CHECK(S3Requests(settings).head_bucket(kNow).url ==
          "https://pixelfox-dev.s3.us-west-001.backblazeb2.com/");
}

TEST_CASE("s3 request: the host is signed as it is sent", "[storage][s3]") {
    conf::PoolSettings settings = pool();
    const auto url_at = [&](const std::string& endpoint) {
        settings.endpoint_url = endpoint;
        return S3Requests(settings).get("a", {}, kNow);
    };
    const StoreRequest plain = url_at("https://s3.example");
    CHECK(url_at("HTTPS://S3.Example:443").headers == plain.headers);
    CHECK(url_at("https://s3.example/").url == plain.url);
    CHECK(url_at("http://127.0.0.1:19090").url == "http://127.0.0.1:19090/pixelfox-dev/a");
    CHECK(url_at("http://s3.example:80").url == "http://s3.example/pixelfox-dev/a");
}

TEST_CASE("s3 request: what a reader asks for may be changed on the way", "[storage][s3]") {
    const S3Requests requests(pool());
    const StoreRequest request = requests.get(
        "a", {.range = GetRange{10, 5}, .version_id = "4_z1/2", .if_match = "abc"}, kNow);
    CHECK(request.method == "GET");
    CHECK(request.url.ends_with("/pixelfox-dev/a?versionId=4_z1%2F2"));
    CHECK(header(request, "range") == "bytes=10-14");
    CHECK(header(request, "if-match") == "\"abc\"");
    CHECK(signed_names(request) == "host;x-amz-content-sha256;x-amz-date");
    CHECK(header(request, "x-amz-content-sha256") == kEmptyPayload);
    CHECK(header(requests.get("a", {.range = GetRange{10, {}}}, kNow), "range") == "bytes=10-");
    CHECK(header(requests.get("a", {}, kNow), "range") == "(none)");
}

TEST_CASE("s3 request: an upload says what it is and nothing that B2 refuses", "[storage][s3]") {
    const S3Requests requests(pool());
    const auto digest = conf::sha256("abc");
    const PutOptions options{.size = 3,
                             .sha256 = digest,
                             .content_type = "image/jpeg",
                             .cache_control = "public, max-age=31536000, immutable"};
    const StoreRequest request = requests.put("a.jpg", options, kNow);
    CHECK(request.call_class == CallClass::a);
    CHECK(header(request, "x-amz-content-sha256") == conf::hex(digest));
    CHECK(header(request, "x-amz-meta-sha256") == conf::hex(digest));
    CHECK(header(request, "content-type") == "image/jpeg");
    CHECK(header(request, "cache-control") == "public, max-age=31536000, immutable");
    CHECK(signed_names(request) ==
          "cache-control;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-sha256");
    for (const StoreRequest& each : {request, requests.create_upload("a", options, kNow),
                                     requests.put_part("a", "u", 1, digest, kNow),
                                     requests.complete_upload("a", "u", "<x/>", kNow),
                                     requests.copy("/b/c", "a", options, kNow)}) {
        for (const NamedValue& sent : each.headers) {
            CHECK_FALSE(sent.name.starts_with("x-amz-checksum"));
            CHECK_FALSE(sent.name.starts_with("x-amz-sdk"));
            CHECK_FALSE(sent.name.starts_with("if-"));
            CHECK(sent.value.find("TOPSECRET") == std::string::npos);
        }
    }
}

TEST_CASE("s3 request: price classes as B2 has them", "[storage][s3]") {
    const S3Requests requests(pool());
    const PutOptions options;
    CHECK(requests.get("a", {}, kNow).call_class == CallClass::b);
    CHECK(requests.head("a", {}, kNow).call_class == CallClass::b);
    CHECK(requests.friendly_get("a", {}, {}).call_class == CallClass::b);
    CHECK(requests.put("a", options, kNow).call_class == CallClass::a);
    CHECK(requests.remove("a", "v", kNow).call_class == CallClass::a);
    CHECK(requests.create_upload("a", options, kNow).call_class == CallClass::a);
    CHECK(requests.abort_upload("a", "u", kNow).call_class == CallClass::a);
    CHECK(requests.copy("/b/c", "a", options, kNow).call_class == CallClass::c);
    CHECK(requests.list_objects("", {}, 1, kNow).call_class == CallClass::c);
    CHECK(requests.list_versions("", {}, 1, kNow).call_class == CallClass::c);
    CHECK(requests.list_parts("a", "u", 0, kNow).call_class == CallClass::c);
    CHECK(requests.list_uploads("", {}, kNow).call_class == CallClass::c);
    CHECK(requests.head_bucket(kNow).call_class == CallClass::c);
}

TEST_CASE("s3 request: lists", "[storage][s3]") {
    conf::PoolSettings settings = pool();
    settings.path_prefix = "site one/";
    const S3Requests requests(settings);
    const std::string base = "https://s3.us-west-001.backblazeb2.com/pixelfox-dev/?";
    CHECK(requests.list_objects("uploads/", {}, 1000, kNow).url ==
          base + "encoding-type=url&list-type=2&max-keys=1000&prefix=site%20one%2Fuploads%2F");
    CHECK(requests.list_objects("", {.token = "t+/="}, 2, kNow).url ==
          base +
              "continuation-token=t%2B%2F%3D&encoding-type=url&list-type=2&max-keys=2&"
              "prefix=site%20one%2F");
    CHECK(requests.list_versions("a", {"site one/a", "v/1"}, 1000, kNow).url ==
          base +
              "encoding-type=url&key-marker=site%20one%2Fa&max-keys=1000&prefix=site%20one%2Fa&"
              "version-id-marker=v%2F1&versions=");
    CHECK(requests.list_uploads("", {}, kNow).url ==
          base + "encoding-type=url&prefix=site%20one%2F&uploads=");
    CHECK(requests.key_of("site one/uploads/a") == "uploads/a");
    CHECK_FALSE(requests.key_of("uploads/a"));
}

TEST_CASE("s3 request: parts of an upload", "[storage][s3]") {
    const S3Requests requests(pool());
    const std::string base = "https://s3.us-west-001.backblazeb2.com/pixelfox-dev/a?";
    const auto digest = conf::sha256("part");
    CHECK(requests.create_upload("a", {}, kNow).url == base + "uploads=");
    CHECK(requests.create_upload("a", {}, kNow).method == "POST");
    const StoreRequest part = requests.put_part("a", "2~x/y", 12, digest, kNow);
    CHECK(part.url == base + "partNumber=12&uploadId=2~x%2Fy");
    CHECK(header(part, "x-amz-content-sha256") == conf::hex(digest));
    CHECK(requests.list_parts("a", "u", 1000, kNow).url ==
          base + "part-number-marker=1000&uploadId=u");
    const StoreRequest complete = requests.complete_upload("a", "u", "<x/>", kNow);
    CHECK(complete.method == "POST");
    CHECK(header(complete, "x-amz-content-sha256") == conf::hex(conf::sha256("<x/>")));
    CHECK(requests.abort_upload("a", "u", kNow).method == "DELETE");
}

TEST_CASE("s3 request: copies name their source encoded", "[storage][s3]") {
    conf::PoolSettings settings = pool();
    settings.path_prefix = "p/";
    const S3Requests from(settings);
    CHECK(from.copy_source("a b+c.jpg", "") == "/pixelfox-dev/p/a%20b%2Bc.jpg");
    CHECK(from.copy_source("a", "v/1") == "/pixelfox-dev/p/a?versionId=v%2F1");
    const S3Requests to(pool());
    const StoreRequest request = to.copy(from.copy_source("a", ""), "b", {}, kNow);
    CHECK(header(request, "x-amz-copy-source") == "/pixelfox-dev/p/a");
    CHECK(header(request, "x-amz-metadata-directive") == "REPLACE");
    CHECK(to.same_store(from));
    settings.access_key_id = conf::Secret("", "other");
    CHECK_FALSE(to.same_store(S3Requests(settings)));
    settings = pool();
    settings.endpoint_url = "https://s3.eu-central-003.backblazeb2.com";
    CHECK_FALSE(to.same_store(S3Requests(settings)));
    settings = pool();
    settings.bucket = "another";
    CHECK(to.same_store(S3Requests(settings)));
}

TEST_CASE("s3 request: friendly URLs as B2 reads them", "[storage][s3]") {
    const S3Requests requests(pool());
    // A raw plus would be a blank there.
    CHECK(requests.friendly_url("uploads/a b+c&d,e.jpg", {}) ==
          "https://f001.backblazeb2.com/file/pixelfox-dev/uploads/a%20b%2Bc%26d%2Ce.jpg");
    const StoreRequest open = requests.friendly_get("a", {.range = GetRange{0, 1}}, {});
    CHECK(open.headers == std::vector<NamedValue>{{"range", "bytes=0-0"}});
    const DownloadGrant grant{.authorization = "4_token", .download_url = {}};
    CHECK(header(requests.friendly_get("a", {}, grant), "authorization") == "4_token");
}

TEST_CASE("s3 request: a grant says where it is good", "[storage][s3]") {
    const DownloadGrant grant{.authorization = "4_token", .download_url = "https://f004.example"};
    const StoreRequest head = S3Requests(pool()).friendly_head("a", grant);
    CHECK(head.method == "HEAD");
    CHECK(head.url == "https://f004.example/file/pixelfox-dev/a");
    CHECK(header(head, "authorization") == "4_token");
}

TEST_CASE("s3 request: presigned URLs carry no header", "[storage][s3]") {
    conf::PoolSettings settings = pool();
    settings.access_key_id = conf::Secret("", "AKIAIOSFODNN7EXAMPLE");
    settings.secret_access_key = conf::Secret("env:S", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    settings.region = "us-east-1";
    settings.bucket = "examplebucket";
    settings.endpoint_url = "https://s3.amazonaws.com";
    settings.addressing = conf::PoolSettings::Addressing::virtual_host;
    const std::string url =
        S3Requests(settings).presigned_url("test.txt", kNow, {.lifetime_s = 86'400});
    CHECK(url.starts_with("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm="));
    CHECK(url.ends_with(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"));
}
