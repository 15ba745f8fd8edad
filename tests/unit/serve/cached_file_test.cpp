#include "proxy/serve/cached_file.h"

#include "conf/settings.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::serve;

namespace {

constexpr std::int64_t kNow = 1'795'000'000;

CachedFile described(std::string_view content_type, std::int64_t modified_s = 784'111'777) {
    CachedFile file;
    file.identity.size = 5;
    file.identity.modified_ns = modified_s * 1'000'000'000;
    file.body = "hello";
    file.content_type = content_type;
    conf::Sha256 sha;
    sha.update(file.body);
    describe(file, "uploads/a.jpg", etag_of(sha.finish()),
             CachePolicy(conf::default_cache_control()), kNow);
    return file;
}

const std::string kEtag = "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"";

}  // namespace

TEST_CASE("cached file: the heads that are sent most", "[serve][cached_file]") {
    const CachedFile file = described("image/jpeg");
    CHECK(file.etag() == kEtag);
    CHECK(file.last_modified == 784'111'777);
    const std::string shared =
        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Content-Type-Options: nosniff\r\n"
        "Cache-Control: public, max-age=300\r\nETag: " +
        kEtag + "\r\n";
    const std::string cache_status = "Cache-Status: tidepool; hit; detail=memory\r\n";
    CHECK(file.shared_lines() == shared);
    CHECK(file.lines ==
          "Content-Type: image/jpeg\r\nContent-Length: 5\r\nAccept-Ranges: bytes\r\n" + shared +
              cache_status);
    CHECK(file.lines_304() ==
          "Cache-Control: public, max-age=300\r\nETag: " + kEtag + "\r\n" + cache_status);
    const CachedFile copy = file;
    CHECK(copy.etag() == kEtag);
    CHECK(copy.etag().data() != file.etag().data());
    CHECK(file.in_memory());
    CHECK(file.cost() > file.body.size() + file.lines.size());
}

TEST_CASE("cached file: what a browser would run goes out in a sandbox", "[serve][cached_file]") {
    for (const char* type :
         {"image/svg+xml", "text/html", "application/xml", "text/javascript", "application/pdf"}) {
        INFO(type);
        const CachedFile file = described(type);
        for (const std::string_view head : {file.shared_lines(), std::string_view(file.lines)}) {
            CHECK(head.contains("\r\nContent-Disposition: attachment\r\n"));
            CHECK(head.contains("\r\nContent-Security-Policy: default-src 'none'; sandbox\r\n"));
        }
    }
    for (const char* type : {"image/jpeg", "image/webp", "video/mp4", "application/octet-stream"}) {
        INFO(type);
        CHECK_THAT(described(type).lines, !Catch::Contains("Content-Disposition"));
        CHECK_THAT(described(type).lines, !Catch::Contains("Content-Security-Policy"));
    }
}

TEST_CASE(
    "cached file: the ETag of an object that nobody has read follows from what its store says",
    "[serve][cached_file]") {
    RemoteObject object;
    object.key = "uploads/a.jpg";
    object.size = 5;
    object.store_etag = "5d41402abc4b2a76b9719d911017c592";
    const std::string first = etag_of(object);
    CHECK_THAT(first, Catch::StartsWith("\"s-") && Catch::EndsWith("\""));
    CHECK(first.size() == 36);
    CHECK(etag_of(object) == first);
    object.size = 6;
    CHECK(etag_of(object) != first);
    object.version_id = "4_z";
    CHECK(etag_of(object) != first);
    conf::Sha256 sha;
    sha.update(std::string_view("hello"));
    object.sha256 = sha.finish();
    CHECK(etag_of(object) == kEtag);
}

TEST_CASE("cached file: Last-Modified lies neither ahead nor before 1970", "[serve][cached_file]") {
    CHECK(described("image/jpeg", kNow).last_modified == kNow);
    CHECK(described("image/jpeg", kNow + 3600).last_modified == kNow);
    CHECK(described("image/jpeg", -5).last_modified == 0);
    CHECK_THAT(described("image/jpeg", -5).lines,
               Catch::Contains("Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n"));
}

TEST_CASE("cached file: no head of a private one is for shared caches", "[serve][cached_file]") {
    CachedFile file;
    file.identity.size = 5;
    file.body = "hello";
    file.content_type = "image/jpeg";
    file.is_private = file.is_unshared = true;
    describe(file, "uploads/a.jpg", kEtag, CachePolicy(conf::default_cache_control()), kNow);
    for (const std::string_view head :
         {file.shared_lines(), std::string_view(file.lines), file.lines_304()}) {
        CAPTURE(head);
        CHECK(
            head.contains("Cache-Control: private, max-age=60\r\nCDN-Cache-Control: no-store\r\n"
                          "Cloudflare-CDN-Cache-Control: no-store\r\n"));
        CHECK_FALSE(head.contains("public"));
    }
    // Where the edge checks signatures, it may keep what they open.
    file.is_unshared = false;
    describe(file, "uploads/a.jpg", kEtag, CachePolicy(conf::default_cache_control()), kNow);
    CHECK(file.lines_304().starts_with("Cache-Control: public, max-age=300\r\nETag"));
}
