#include "storage/image_key.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool::storage;

namespace {

const std::string kUuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";

}  // namespace

TEST_CASE("image key: a UUID reads back as it was written, and only in its usual form",
          "[storage][catalog]") {
    const auto uuid = parse_uuid(kUuid);
    REQUIRE(uuid);
    CHECK((*uuid)[0] == 0x0B);
    CHECK((*uuid)[15] == 0xAB);
    CHECK(to_text(*uuid) == kUuid);
    for (const std::string& wrong :
         {std::string(), kUuid + "0", kUuid.substr(1), std::string(36, '0'),
          std::string("0B1F6C2E-9A7D-4C55-8A3E-1234567890AB"),
          std::string("0b1f6c2e-9a7d-4c55-8a3e-1234567890ag"),
          std::string("0b1f6c2e09a7d-4c55-8a3e-1234567890ab")}) {
        INFO(wrong);
        CHECK_FALSE(parse_uuid(wrong));
    }
}

TEST_CASE("image key: keys of the contract's forms", "[storage][catalog]") {
    struct Case {
        std::string key;
        Role role;
        bool has_image;
        std::string prefix;
        std::string day;
        std::string size;
        std::string extension;
    };
    const Case cases[] = {
        {"uploads/original/2026/02/25/" + kUuid + ".jpg", Role::original, true, "uploads/",
         "2026/02/25", "", "jpg"},
        {"uploads/variants/2026/02/25/" + kUuid + ".webp", Role::variant, true, "uploads/",
         "2026/02/25", "", "webp"},
        {"uploads/variants/2026/02/25/" + kUuid + "_small.avif", Role::variant, true, "uploads/",
         "2026/02/25", "small", "avif"},
        {"original/2026/02/25/" + kUuid + ".png", Role::original, true, "", "2026/02/25", "",
         "png"},
        {"a/b/variants/2026/02/25/" + kUuid + "_medium.png", Role::variant, true, "a/b/",
         "2026/02/25", "medium", "png"},
        {"images/2026/02/25/" + kUuid + ".jpg", Role::original, true, "", "", "", "jpg"},
        {"uploads/original/2026/2/25/" + kUuid + ".jpg", Role::original, true, "", "", "", "jpg"},
        {"uploads/original/12026/02/25/" + kUuid + ".jpg", Role::original, true, "", "", "", "jpg"},
        {"uploads/other/2026/02/25/" + kUuid + ".jpg", Role::original, true, "", "", "", "jpg"},
        {"uploads/original/2026/02/25/cat.jpg", Role::original, false, "", "", "", "jpg"},
        {"uploads/variants/cat.webp", Role::variant, false, "", "", "", "webp"},
        {"uploads/variants.jpg", Role::original, false, "", "", "", "jpg"},
        {"uploads/my-variants/cat.webp", Role::original, false, "", "", "", "webp"},
        {"uploads/" + kUuid, Role::original, true, "", "", "", ""},
        {"uploads/" + kUuid + "x.jpg", Role::original, false, "", "", "", "jpg"},
        {"uploads/" + kUuid.substr(0, 35) + ".jpg", Role::original, false, "", "", "", "jpg"},
        {kUuid + ".gif", Role::original, true, "", "", "", "gif"},
        {".jpg", Role::original, false, "", "", "", ""},
        {"", Role::original, false, "", "", "", ""},
        {"variants/2026/02/25/" + kUuid + ".webp", Role::variant, true, "", "2026/02/25", "",
         "webp"},
    };
    for (const Case& expected : cases) {
        INFO(expected.key);
        const ImageKey parsed = parse_image_key(expected.key);
        CHECK(parsed.role == expected.role);
        CHECK(parsed.image.has_value() == expected.has_image);
        CHECK(parsed.prefix == expected.prefix);
        CHECK(parsed.day == expected.day);
        CHECK(parsed.size == expected.size);
        CHECK(parsed.extension == expected.extension);
    }
}

TEST_CASE("image key: backups and variants of an original have keys that follow from its own",
          "[storage][catalog]") {
    const std::string original = "uploads/original/2026/02/25/" + kUuid + ".jpg";
    CHECK(backup_key(original) == "images/2026/02/25/" + kUuid + ".jpg");
    CHECK(variants_prefix(original) == "uploads/variants/2026/02/25/" + kUuid);
    CHECK(variants_prefix("uploads/variants/2026/02/25/" + kUuid + "_small.webp") ==
          "uploads/variants/2026/02/25/" + kUuid);
    CHECK_FALSE(backup_key("uploads/variants/2026/02/25/" + kUuid + ".webp"));
    CHECK_FALSE(backup_key("uploads/cat.jpg"));
    CHECK_FALSE(backup_key("uploads/original/2026/02/25/cat.jpg"));
    CHECK_FALSE(variants_prefix("uploads/cat.jpg"));
}
