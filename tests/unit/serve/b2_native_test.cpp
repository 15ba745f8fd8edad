// What B2's native API is asked and says, and what somebody else in its place may say.
#include "proxy/serve/b2_native.h"

#include "proxy/api/pool_json.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::serve;
using api::Json;

namespace {

constexpr std::string_view kNative = "https://api.backblazeb2.com";

// As B2 answers (contracts: b2-s3.md 1), for a key of one bucket.
Json good_account() {
    return Json::parse(R"({
        "accountId": "abc123",
        "applicationKeyExpirationTimestamp": null,
        "authorizationToken": "4_secret=",
        "apiInfo": {"groupsApi": {}, "storageApi": {
            "absoluteMinimumPartSize": 5000000, "recommendedPartSize": 100000000,
            "apiUrl": "https://api004.backblazeb2.com", "downloadUrl": "https://f004.backblazeb2.com",
            "s3ApiUrl": "https://s3.us-west-004.backblazeb2.com",
            "allowed": {"buckets": [{"id": "b1", "name": "pixelfox-dev"}],
                        "capabilities": ["readFiles", "shareFiles"], "namePrefix": null}}}})");
}

Json changed(std::string_view pointer, Json value) {
    Json account = good_account();
    account[Json::json_pointer(std::string(pointer))] = std::move(value);
    return account;
}

Json without(std::string_view parent, std::string_view name) {
    Json account = good_account();
    account[Json::json_pointer(std::string(parent))].erase(std::string(name));
    return account;
}

constexpr std::string_view kStorage = "/apiInfo/storageApi";
constexpr std::string_view kAllowed = "/apiInfo/storageApi/allowed";

std::string header(const storage::StoreRequest& request, std::string_view name) {
    const auto found = std::ranges::find(request.headers, name, &storage::NamedValue::name);
    return found == request.headers.end() ? "" : found->value;
}

B2Account account() {
    return parse_account(good_account().dump(), kNative).value();
}

}  // namespace

TEST_CASE("b2 native: what is asked", "[serve][b2]") {
    const B2Request first =
        authorize_account(kNative, conf::Secret("", "keyid"), conf::Secret("env:K", "key"));
    CHECK(first.request.method == "GET");
    CHECK(first.request.url == "https://api.backblazeb2.com/b2api/v4/b2_authorize_account");
    CHECK(header(first.request, "authorization") == "Basic a2V5aWQ6a2V5");
    CHECK(first.body.empty());
    CHECK(first.request.call_class == storage::CallClass::c);

    const B2Request list = list_buckets(account(), "pixelfox-dev");
    CHECK(list.request.method == "POST");
    CHECK(list.request.url == "https://api004.backblazeb2.com/b2api/v4/b2_list_buckets");
    CHECK(header(list.request, "authorization") == "4_secret=");
    CHECK(Json::parse(list.body) == Json{{"accountId", "abc123"}, {"bucketName", "pixelfox-dev"}});

    const B2Request last =
        get_download_authorization(account(), "b1", "a/\"\xc3\xa4", std::chrono::hours(1));
    CHECK(last.request.url ==
          "https://api004.backblazeb2.com/b2api/v4/b2_get_download_authorization");
    CHECK(last.request.call_class == storage::CallClass::c);
    CHECK(Json::parse(last.body) == Json{{"bucketId", "b1"},
                                         {"fileNamePrefix", "a/\"\xc3\xa4"},
                                         {"validDurationInSeconds", 3600}});
}

TEST_CASE("b2 native: an account as B2 says it", "[serve][b2]") {
    const B2Account said = account();
    CHECK(said.account_id == "abc123");
    CHECK(said.authorization == "4_secret=");
    CHECK(said.api_url == "https://api004.backblazeb2.com");
    CHECK(said.download_url == "https://f004.backblazeb2.com");
    CHECK(said.capabilities == std::vector<std::string>{"readFiles", "shareFiles"});
    REQUIRE(said.buckets);
    CHECK(said.buckets->size() == 1);
    CHECK(said.name_prefix.empty());
    // A key of all buckets.
    const auto all =
        parse_account(changed("/apiInfo/storageApi/allowed/buckets", nullptr).dump(), kNative);
    REQUIRE(all);
    CHECK_FALSE(all->buckets);
    CHECK(parse_account(without(kAllowed, "namePrefix").dump(), kNative));
    // One whose bucket was removed.
    const auto removed = parse_account(
        changed("/apiInfo/storageApi/allowed/buckets/0/name", nullptr).dump(), kNative);
    REQUIRE(removed);
    CHECK(allowed_bucket(*removed, "pixelfox-dev").error().kind == ErrorKind::denied);
}

TEST_CASE("b2 native: hostile, short and wrong accounts are refused and not quoted",
          "[serve][b2]") {
    const std::string url = "/apiInfo/storageApi/apiUrl";
    const std::string download = "/apiInfo/storageApi/downloadUrl";
    const Json cases[] = {
        Json::object(),
        without("", "accountId"),
        without("", "authorizationToken"),
        without("", "apiInfo"),
        without("/apiInfo", "storageApi"),
        without(kStorage, "apiUrl"),
        without(kStorage, "downloadUrl"),
        without(kStorage, "allowed"),
        without(kAllowed, "capabilities"),
        changed("/accountId", 7),
        changed("/accountId", ""),
        changed("/authorizationToken", ""),
        changed("/authorizationToken", nullptr),
        changed("/authorizationToken", Json::array({"4_secret="})),
        changed("/authorizationToken", "4_secret=\r\nX-Evil: 1"),
        changed("/authorizationToken", "4_secret= more"),
        changed("/authorizationToken", "4_secret=\xc3\xa4"),
        changed("/authorizationToken", std::string("4_secret=\0", 10)),
        changed("/authorizationToken", "4_secret=" + std::string(5000, 'x')),
        changed("/apiInfo", "4_secret="),
        changed("/apiInfo/storageApi", Json::array()),
        changed(url, ""),
        changed(url, "api004.backblazeb2.com"),
        changed(url, "http://api004.backblazeb2.com"),
        changed(url, "ftp://api004.backblazeb2.com"),
        changed(url, "https://user:4_secret=@api004.backblazeb2.com"),
        changed(url, "https://api004.backblazeb2.com\r\nHost: evil"),
        changed(url, "https://"),
        changed(url, 1),
        changed(download, "http://f004.backblazeb2.com"),
        changed(download, "https://f004.backblazeb2.com/?x=4_secret="),
        changed(download, Json::object()),
        changed("/apiInfo/storageApi/allowed", "all"),
        changed("/apiInfo/storageApi/allowed/capabilities", "shareFiles"),
        changed("/apiInfo/storageApi/allowed/namePrefix", 5),
        changed("/apiInfo/storageApi/allowed/buckets", "pixelfox-dev"),
        changed("/apiInfo/storageApi/allowed/buckets", Json::array({"pixelfox-dev"})),
        changed("/apiInfo/storageApi/allowed/buckets", Json::array({{{"name", "pixelfox-dev"}}})),
        changed("/apiInfo/storageApi/allowed/buckets/0/id", "b 1"),
        changed("/apiInfo/storageApi/allowed/buckets/0/id", 1),
    };
    for (const Json& each : cases) {
        const std::string body = each.dump(-1, ' ', false, Json::error_handler_t::replace);
        CAPTURE(body);
        const auto said = parse_account(body, kNative);
        REQUIRE_FALSE(said);
        CHECK(said.error().kind == ErrorKind::io);
        CHECK(said.error().text.starts_with("the answer of b2_authorize_account has "));
        CHECK(said.error().text.find("4_secret") == std::string::npos);
    }
}

TEST_CASE("b2 native: what is no JSON object is no answer", "[serve][b2]") {
    const std::string good = good_account().dump();
    std::vector<std::string> bodies{"",
                                    " ",
                                    "null",
                                    "[]",
                                    "7",
                                    "\"text\"",
                                    "{",
                                    "<html>",
                                    "{}x",
                                    "\xff",
                                    "{\"a\": \xff}",
                                    std::string(1, '\0')};
    bodies.push_back(std::string(100'000, '['));
    bodies.push_back(good + good);
    bodies.push_back(good + std::string(2'000'000, ' '));
    for (std::size_t size = 1; size < good.size(); size += 7)
        bodies.push_back(good.substr(0, size));
    for (const std::string& body : bodies) {
        CAPTURE(body.substr(0, 200));
        CHECK_FALSE(parse_account(body, kNative));
        CHECK_FALSE(parse_bucket_list(body, "pixelfox-dev"));
        CHECK_FALSE(parse_download_authorization(body, "b1", ""));
    }
}

TEST_CASE("b2 native: without TLS only where it was asked without", "[serve][b2]") {
    Json json = good_account();
    json["apiInfo"]["storageApi"]["apiUrl"] = "http://127.0.0.1:1";
    json["apiInfo"]["storageApi"]["downloadUrl"] = "http://127.0.0.1:2";
    CHECK(parse_account(json.dump(), "http://127.0.0.1:1"));
    CHECK_FALSE(parse_account(json.dump(), kNative));
}

TEST_CASE("b2 native: a bucket's id by its name", "[serve][b2]") {
    const auto id_in = [](std::string_view body) {
        return parse_bucket_list(body, "pixelfox-dev");
    };
    CHECK(id_in(R"({"buckets": [{"bucketId": "b0", "bucketName": "pixelfox-dev-2"},
                                {"bucketId": "b1", "bucketName": "pixelfox-dev"}]})") == "b1");
    for (const char* none :
         {R"({"buckets": []})", R"({"buckets": [7, null, {}]})",
          R"({"buckets": [{"bucketId": "b1", "bucketName": "Pixelfox-dev"}]})"}) {
        CAPTURE(none);
        const auto id = id_in(none);
        REQUIRE_FALSE(id);
        CHECK(id.error().kind == ErrorKind::misconfigured);
        CHECK(id.error().text == "the key's account has no bucket \"pixelfox-dev\"");
    }
    for (const char* wrong : {R"({})", R"({"buckets": {}})", R"({"buckets": null})",
                              R"({"buckets": [{"bucketName": "pixelfox-dev"}]})",
                              R"({"buckets": [{"bucketId": 1, "bucketName": "pixelfox-dev"}]})",
                              R"({"buckets": [{"bucketId": "", "bucketName": "pixelfox-dev"}]})"}) {
        CAPTURE(wrong);
        const auto id = id_in(wrong);
        REQUIRE_FALSE(id);
        CHECK(id.error().kind == ErrorKind::io);
    }
}

TEST_CASE("b2 native: a token is for what was asked", "[serve][b2]") {
    const auto token_in = [](std::string_view body) {
        return parse_download_authorization(body, "b1", "a/");
    };
    CHECK(token_in(R"({"bucketId": "b1", "fileNamePrefix": "a/", "authorizationToken": "3_t"})") ==
          "3_t");
    for (const char* wrong :
         {R"({})", R"({"bucketId": "b1", "fileNamePrefix": "a/"})",
          R"({"bucketId": "b1", "fileNamePrefix": "a/", "authorizationToken": ""})",
          R"({"bucketId": "b1", "fileNamePrefix": "a/", "authorizationToken": "3_t\n"})",
          R"({"bucketId": "b1", "fileNamePrefix": "a/", "authorizationToken": ["3_t"]})",
          R"({"bucketId": "b2", "fileNamePrefix": "a/", "authorizationToken": "3_t"})",
          R"({"bucketId": "b1", "fileNamePrefix": "", "authorizationToken": "3_t"})",
          R"({"bucketId": "b1", "fileNamePrefix": null, "authorizationToken": "3_t"})",
          R"({"bucketId": "b1", "authorizationToken": "3_t"})",
          R"({"fileNamePrefix": "a/", "authorizationToken": "3_t"})"}) {
        CAPTURE(wrong);
        const auto token = token_in(wrong);
        REQUIRE_FALSE(token);
        CHECK(token.error().kind == ErrorKind::io);
        CHECK(token.error().text.find("3_t") == std::string::npos);
    }
}

TEST_CASE("b2 native: which bucket and prefix a key may open", "[serve][b2]") {
    B2Account said = account();
    CHECK(allowed_bucket(said, "pixelfox-dev").value() == "b1");
    CHECK(allowed_bucket(said, "other").error().kind == ErrorKind::denied);
    said.buckets.reset();
    CHECK(allowed_bucket(said, "other").value() == std::nullopt);
    said.buckets.emplace();
    CHECK(allowed_bucket(said, "other").error().kind == ErrorKind::denied);

    struct Case {
        const char* key;
        const char* pool;
        const char* wanted;  // null = denied
    };
    const Case cases[] = {{"", "", ""},          {"", "a/", "a/"},        {"a/", "", "a/"},
                          {"a/", "a/", "a/"},    {"a/", "a/b/", "a/b/"},  {"a/b/", "a/", "a/b/"},
                          {"b/", "a/", nullptr}, {"a/b", "a/c/", nullptr}};
    for (const auto& [key, pool, wanted] : cases) {
        CAPTURE(key, pool);
        said.name_prefix = key;
        const auto prefix = allowed_prefix(said, pool);
        CHECK(prefix.has_value() == (wanted != nullptr));
        if (prefix && wanted != nullptr) CHECK(*prefix == wanted);
        if (!prefix) CHECK(prefix.error().kind == ErrorKind::denied);
    }
    said.capabilities = {"readFiles", "sharefiles"};
    const auto powerless = allowed_prefix(said, "");
    REQUIRE_FALSE(powerless);
    CHECK(powerless.error().text.find("shareFiles") != std::string::npos);
}

TEST_CASE("b2 native: lifecycle rules of a bucket", "[serve]") {
    const auto rules = parse_lifecycle(
        R"({"buckets":[{"bucketName":"other","lifecycleRules":[{"fileNamePrefix":"x"}]},)"
        R"({"bucketName":"images","lifecycleRules":[{"fileNamePrefix":"uploads/",)"
        R"("daysFromUploadingToHiding":null,"daysFromHidingToDeleting":1},)"
        R"({"fileNamePrefix":"","daysFromUploadingToHiding":30}]}]})",
        "images");
    REQUIRE(rules);
    REQUIRE(rules->size() == 2);
    CHECK(rules->at(0).prefix == "uploads/");
    CHECK_FALSE(rules->at(0).days_to_hiding);
    CHECK(rules->at(0).days_to_deleting == 1);
    CHECK(rules->at(1).prefix.empty());
    CHECK(rules->at(1).days_to_hiding == 30);
    CHECK_FALSE(rules->at(1).days_to_deleting);
    const std::string none = R"({"buckets":[{"bucketName":"images"}]})";
    CHECK(parse_lifecycle(none, "images")->empty());
    CHECK(parse_lifecycle(none, "other").error().kind == ErrorKind::misconfigured);
    CHECK(
        parse_lifecycle(R"({"buckets":[{"bucketName":"images","lifecycleRules":[{}]}]})", "images")
            .error()
            .kind == ErrorKind::io);
}
