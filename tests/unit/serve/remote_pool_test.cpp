#include "proxy/serve/remote_pool.h"

#include "conf/settings.h"

#include <algorithm>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using serve::RemoteObject;
using serve::RemotePool;

namespace {

constexpr std::int64_t kNow = 1'800'000'000;

std::shared_ptr<RemotePool> bucket(const std::string& name) {
    conf::PoolSettings settings;
    settings.name = "cold";
    settings.storage_type = conf::PoolSettings::Type::s3;
    settings.access_key_id = conf::Secret("", "keyid");
    settings.secret_access_key = conf::Secret("env:S", "TOPSECRET");
    settings.region = "us-west-001";
    settings.bucket = name;
    settings.endpoint_url = "https://s3.us-west-001.backblazeb2.com";
    return std::make_shared<RemotePool>(settings);
}

RemoteObject object_in(const std::string& name) {
    RemoteObject object;
    object.pool = bucket(name);
    object.key = "uploads/a b.jpg";
    object.size = 5'000'000;
    return object;
}

http::FetchRequest request(const RemoteObject& object, std::uint64_t offset, std::uint64_t length,
                           std::int64_t now = kNow, std::string_view cdn_loop = "") {
    conf::OriginSettings settings;
    settings.loop_id = "tidepool";
    return fetch_of(object, offset, length, "", {}, settings, cdn_loop, now);
}

// The value of a field, "" where there is none; it must be there at most once.
std::string field(const http::FetchRequest& request, const std::string& name) {
    const std::string fields = "\r\n" + request.fields;
    const std::string wanted = "\r\n" + name + ": ";
    const std::size_t found = fields.find(wanted);
    if (found == fields.npos) return "";
    const std::size_t start = found + wanted.size();
    CHECK(fields.find(wanted, start) == fields.npos);
    return fields.substr(start, fields.find("\r\n", start) - start);
}

}  // namespace

TEST_CASE("remote pool: what is asked of a bucket", "[serve][remote]") {
    const RemoteObject object = object_in("bucket");
    const http::FetchRequest all = request(object, 0, object.size);
    CHECK(all.url == "https://s3.us-west-001.backblazeb2.com/bucket/uploads/a%20b.jpg");
    CHECK(field(all, "range").empty());
    CHECK(field(all, "x-amz-date") == storage::amz_time(kNow));
    CHECK(field(all, "authorization").starts_with("AWS4-HMAC-SHA256 Credential=keyid/"));
    CHECK(field(all, "CDN-Loop") == "tidepool");
    CHECK(all.fields.ends_with("\r\n"));
    CHECK_FALSE(all.fields.contains("\r\n\r\n"));

    const http::FetchRequest part = request(object, 10, 5, kNow, "cloudflare; loops=1");
    CHECK(field(part, "range") == "bytes=10-14");
    CHECK(field(part, "CDN-Loop") == "cloudflare; loops=1, tidepool");
    CHECK(field(part, "authorization") == field(all, "authorization"));
}

TEST_CASE("remote pool: a signature is used again for a while, and only for what it is of",
          "[serve][remote]") {
    RemoteObject object = object_in("bucket");
    const auto of = [](const RemoteObject& of_object, std::int64_t now) {
        const http::FetchRequest made = request(of_object, 0, 100, now);
        CHECK(!field(made, "x-amz-date").empty());
        return field(made, "authorization") + field(made, "x-amz-date");
    };
    const std::string first = of(object, kNow);
    CHECK(of(object, kNow + 59) == first);
    const std::string later = of(object, kNow + 60);
    CHECK(later != first);
    CHECK(of(object, kNow + 60) == later);
    CHECK(of(object, kNow) == first);  // the clock was set back

    RemoteObject other_version = object;  // which knows what this one does
    other_version.version_id = "4_z1";
    CHECK(request(other_version, 0, 100).url.ends_with("?versionId=4_z1"));
    CHECK(of(other_version, kNow) != first);
    RemoteObject other_pool = object;
    other_pool.pool = bucket("another");
    CHECK(request(other_pool, 0, 100).url.contains("/another/"));
    CHECK(of(other_pool, kNow) != first);
    CHECK(of(object, kNow) == first);
}

TEST_CASE("remote object: what comes later is of the version that came first", "[serve]") {
    const RemoteObject object;
    CHECK(object.is_of_version("4_z1"));
    CHECK(object.is_of_version(""));
    CHECK(object.is_of_version("null"));
    CHECK(object.is_of_version("4_z1"));
    CHECK_FALSE(object.is_of_version("4_z2"));
}

TEST_CASE("remote object: it is of the version that its row names", "[serve]") {
    RemoteObject object;
    object.version_id = "4_z1";
    CHECK_FALSE(object.is_of_version("4_z2"));
    CHECK(object.is_of_version("4_z1"));
}

TEST_CASE("remote pool: a visitor's URL is the same until shortly before it ends",
          "[serve][remote]") {
    const RemoteObject object = object_in("bucket");
    const std::string first = serve::signed_location(object, false, kNow);
    CHECK(first.starts_with("https://s3.us-west-001.backblazeb2.com/bucket/uploads/a%20b.jpg?"));
    CHECK(first.contains("X-Amz-Expires=900"));
    CHECK(first.contains("X-Amz-Signature="));
    CHECK_FALSE(first.contains("TOPSECRET"));
    CHECK(serve::signed_location(object, false, kNow + serve::kSameLocationSeconds - 1) == first);
    CHECK(serve::signed_location(object, false, kNow + serve::kSameLocationSeconds) != first);
    CHECK(serve::signed_location(object_in("bucket"), false, kNow - 1) !=
          first);  // the clock was set back
    // A signature is for one method.
    const std::string head = serve::signed_location(object, true, kNow);
    CHECK(head.substr(0, head.find("X-Amz-Signature=")) ==
          first.substr(0, first.find("X-Amz-Signature=")));
    CHECK(head != first);
}
