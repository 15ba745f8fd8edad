#include "storage/s3_xml.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;

TEST_CASE("s3 xml: errors, with and without what AWS adds", "[storage][s3][xml]") {
    const auto b2 = parse_error_xml(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Error>\n"
        "    <Code>SignatureDoesNotMatch</Code>\n    <Message>Signature validation "
        "failed</Message>\n"
        "</Error>\n");
    REQUIRE(b2);
    CHECK(b2->code == "SignatureDoesNotMatch");
    CHECK(b2->message == "Signature validation failed");
    CHECK(b2->request_id.empty());
    CHECK(parse_error_xml("<Error><Code>x</Code><RequestId>tx1</RequestId></Error>")->request_id ==
          "tx1");
    for (const std::string body : {"", "<", "<html/>", "Error", "<Errors/>"})
        CHECK_FALSE(parse_error_xml(body));
}

TEST_CASE("s3 xml: a list of objects", "[storage][s3][xml]") {
    const auto listing = parse_object_listing(R"(<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Name>b</Name><Prefix>uploads%2F</Prefix><MaxKeys>2</MaxKeys><EncodingType>url</EncodingType>
<IsTruncated>true</IsTruncated><NextContinuationToken>t+/=</NextContinuationToken>
<Contents><Key>uploads/a+b%2Bc%20%C3%A4%0A.jpg</Key><LastModified>2026-02-25T10:11:12.345Z</LastModified>
<ETag>&quot;0cc175b9c0f1b6a831c399e269772661&quot;</ETag><Size>5242880000</Size></Contents>
<Contents><Key>uploads/%zz%2</Key><ETag>plain</ETag><Size>0</Size></Contents>
</ListBucketResult>)");
    REQUIRE(listing);
    REQUIRE(listing->objects.size() == 2);
    CHECK(listing->objects[0].name == "uploads/a b+c \xC3\xA4\n.jpg");
    CHECK(listing->objects[0].etag == "0cc175b9c0f1b6a831c399e269772661");
    CHECK(listing->objects[0].size == 5242880000);
    CHECK(listing->objects[0].modified_s == 1772014272);
    CHECK(listing->objects[1].name == "uploads/%zz%2");
    CHECK(listing->objects[1].etag == "plain");
    CHECK(listing->next_token == "t+/=");
}

TEST_CASE("s3 xml: a store that does not encode names is read as it is", "[storage][s3][xml]") {
    const auto listing = parse_object_listing(
        "<ListBucketResult><Contents><Key>a+b%20c&amp;d</Key></Contents></ListBucketResult>");
    REQUIRE(listing);
    CHECK(listing->objects[0].name == "a+b%20c&d");
    CHECK(listing->next_token.empty());
}

// Taken for whole or for the last page, these would hide objects.
TEST_CASE("s3 xml: a cut or foreign answer is no empty list", "[storage][s3][xml]") {
    for (const std::string body :
         {"", "<ListBucketResult>", "<ListBucketResult><Contents><Key>a</Key>", "<html></html>",
          "<Error><Code>SlowDown</Code></Error>",
          "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"}) {
        INFO(body);
        const auto listing = parse_object_listing(body);
        REQUIRE_FALSE(listing);
        CHECK(listing.error().may_retry());
    }
    CHECK_FALSE(parse_version_listing("<ListBucketResult/>"));
    CHECK_FALSE(parse_version_listing(
        "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>"));
    CHECK_FALSE(parse_part_listing("<Error/>"));
    CHECK_FALSE(parse_upload_listing("<Error/>"));
    CHECK_FALSE(parse_upload_id("<InitiateMultipartUploadResult/>"));
    CHECK_FALSE(parse_result_etag("<Error><Code>InternalError</Code></Error>"));
    CHECK_FALSE(parse_object_listing(std::string(kMaxXmlBytes + 1, ' ')));
}

TEST_CASE("s3 xml: entities of the document's own are not expanded", "[storage][s3][xml]") {
    const auto listing = parse_object_listing(
        "<!DOCTYPE x [<!ENTITY e \"eeeeeeeeee\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>"
        "<ListBucketResult><Contents><Key>&e;&f;</Key></Contents></ListBucketResult>");
    if (listing) CHECK(listing->objects[0].name == "&e;&f;");
}

TEST_CASE("s3 xml: versions and markers, mixed", "[storage][s3][xml]") {
    const auto listing = parse_version_listing(R"(<ListVersionsResult xmlns="x">
<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>
<NextKeyMarker>uploads/a%20b</NextKeyMarker><NextVersionIdMarker>v1</NextVersionIdMarker>
<DeleteMarker><Key>uploads/a%20b</Key><VersionId>m1</VersionId><IsLatest>true</IsLatest></DeleteMarker>
<Version><Key>uploads/a%20b</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><Size>7</Size></Version>
<Version><Key>uploads/a%20b.bak</Key><VersionId>null</VersionId><IsLatest>true</IsLatest></Version>
</ListVersionsResult>)");
    REQUIRE(listing);
    REQUIRE(listing->versions.size() == 3);
    CHECK(listing->versions[0].is_marker);
    CHECK(listing->versions[0].is_latest);
    CHECK(listing->versions[0].version_id == "m1");
    CHECK(listing->versions[1].name == "uploads/a b");
    CHECK_FALSE(listing->versions[1].is_marker);
    CHECK(listing->versions[1].size == 7);
    CHECK(listing->versions[2].version_id == "null");
    CHECK(listing->is_truncated);
    CHECK(listing->next_key == "uploads/a b");
    CHECK(listing->next_version_id == "v1");
}

TEST_CASE("s3 xml: multipart uploads", "[storage][s3][xml]") {
    CHECK(parse_upload_id("<InitiateMultipartUploadResult><Bucket>b</Bucket>"
                          "<UploadId>2~abc</UploadId></InitiateMultipartUploadResult>") == "2~abc");
    const auto parts = parse_part_listing(
        "<ListPartsResult><IsTruncated>true</IsTruncated>"
        "<NextPartNumberMarker>2</NextPartNumberMarker>"
        "<Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag><Size>5242880</Size></Part>"
        "</ListPartsResult>");
    REQUIRE(parts);
    CHECK(parts->parts.at(0).number == 2);
    CHECK(parts->parts.at(0).size == 5242880);
    CHECK(parts->parts.at(0).etag == "e2");
    CHECK(parts->next == 2);
    const auto uploads = parse_upload_listing(
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>a</Key>"
        "<UploadId>u</UploadId><Initiated>2026-02-25T10:11:12Z</Initiated></Upload>"
        "</ListMultipartUploadsResult>");
    REQUIRE(uploads);
    CHECK(uploads->uploads.at(0).upload_id == "u");
    CHECK(uploads->uploads.at(0).initiated_s == 1772014272);
    const std::vector<ListedPart> done{{1, 5, "e<1"}, {2, 1, "e2"}};
    CHECK(complete_upload_xml(done) ==
          "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e&lt;1\"</ETag></Part>"
          "<Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag></Part></CompleteMultipartUpload>");
    CHECK(parse_result_etag("<CopyObjectResult><ETag>&#34;e&#34;</ETag></CopyObjectResult>") ==
          "e");
    CHECK(parse_result_etag("<CompleteMultipartUploadResult><ETag>\"e-2\"</ETag>"
                            "</CompleteMultipartUploadResult>") == "e-2");
}

TEST_CASE("s3 xml: times", "[storage][s3][xml]") {
    CHECK(parse_iso_time("1970-01-01T00:00:00Z") == 0);
    CHECK(parse_iso_time("1970-01-01T00:00:01.999Z") == 1);
    CHECK(parse_iso_time("2024-02-29T23:59:59Z") == 1709251199);
    for (const std::string text :
         {"", "Z", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
          "2024-01-01 00:00:00Z", "2024-01-01T00:00:00", "2024-01-0xT00:00:00Z"}) {
        CHECK(parse_iso_time(text) == 0);
    }
}
