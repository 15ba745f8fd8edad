#include "proxy/api/api_key.h"

#include "conf/digest.h"
#include "tests/support/catalog_backends.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::api;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;

std::string wrong_field(const KeyWish& wish) {
    const auto key = read_key_wish(wish, kNow);
    REQUIRE_FALSE(key);
    CHECK_FALSE(key.error().message.empty());
    return key.error().field;
}

}  // namespace

TEST_CASE("api key: a wish becomes a record", "[api][key]") {
    const auto key = read_key_wish({.owner = "7",
                                    .name = "phone",
                                    .quota = "5GiB",
                                    .max_size = "1000",
                                    .expires = "30d",
                                    .per_minute = 0},
                                   kNow);
    REQUIRE(key);
    CHECK(key->owner == "7");
    CHECK(key->expires_s == kNow + 30 * 86'400);
    CHECK(read_limits(key->limits) ==
          KeyLimits{.quota_bytes = 5ULL << 30, .max_size_bytes = 1000, .per_minute = 0});
    const auto plain = read_key_wish({.owner = "7"}, kNow);
    REQUIRE(plain);
    CHECK(plain->expires_s == 0);
    CHECK(read_limits(plain->limits) == KeyLimits{});
}

TEST_CASE("api key: what is wrong with a wish is told by its field", "[api][key]") {
    CHECK(wrong_field({}) == "owner");
    CHECK(wrong_field({.owner = "a b"}) == "owner");
    CHECK(wrong_field({.owner = "\xc3\xa4"}) == "owner");
    CHECK(wrong_field({.owner = std::string(65, 'a')}) == "owner");
    CHECK(wrong_field({.owner = "7", .name = std::string(201, 'a')}) == "name");
    CHECK(wrong_field({.owner = "7", .quota = "much"}) == "quota");
    CHECK(wrong_field({.owner = "7", .max_size = "-1"}) == "max_size");
    CHECK(wrong_field({.owner = "7", .expires = "soon"}) == "expires");
    CHECK(wrong_field({.owner = "7", .per_minute = -1}) == "rate");
    CHECK(wrong_field({.owner = "7", .per_minute = 1'000'001}) == "rate");
}

CATALOG_TEST("api key: a key is revoked by the beginning of its id, once", "[api][key]") {
    const TestType backend;
    const auto catalog = backend.open();
    auto record = read_key_wish({.owner = "7"}, kNow).value();
    const std::string text = test::value_of(make_key(*catalog, record));
    CHECK(record.hash == conf::sha256(text));
    const std::string id = key_id(record);
    CHECK(revoke_key(*catalog, id.substr(0, 3), kNow).error().kind == ErrorKind::not_found);
    CHECK(revoke_key(*catalog, "", kNow).error().kind == ErrorKind::not_found);
    const auto revoked = test::value_of(revoke_key(*catalog, id.substr(0, 4), kNow + 5));
    CHECK(revoked.revoked_s == kNow + 5);
    CHECK_FALSE(is_good(*test::value_of(catalog->find_key(record.hash)), kNow));
    CHECK(revoke_key(*catalog, id, kNow).error().kind == ErrorKind::not_found);
}

TEST_CASE("api key: limits are kept as they are", "[api][key]") {
    const KeyLimits none;
    CHECK(read_limits(text_of(none)) == none);
    const KeyLimits all{.quota_bytes = 1ULL << 40, .max_size_bytes = 5, .per_minute = 0};
    CHECK(read_limits(text_of(all)) == all);
    for (const char* text : {"", "{", "[]", R"({"quota":-1,"max_size":"7"})"})
        CHECK(read_limits(text) == none);
}

TEST_CASE("api key: keys are long, and no two are the same", "[api][key]") {
    const std::string key = new_api_key();
    CHECK(key.starts_with("tp_"));
    CHECK(key.size() == 67);
    CHECK(new_api_key() != key);
}

TEST_CASE("api key: it is good until it is revoked or over", "[api][key]") {
    storage::KeyRecord key;
    CHECK(is_good(key, 100));
    key.expires_s = 100;
    CHECK(is_good(key, 99));
    CHECK_FALSE(is_good(key, 100));
    key.expires_s = 0;
    key.revoked_s = 50;
    CHECK_FALSE(is_good(key, 49));
}
