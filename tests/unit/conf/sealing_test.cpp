#include "conf/sealing.h"

#include "tests/support/folder.h"

#include <filesystem>
#include <set>
#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using conf::SealingKey;

namespace {

SealingKey key_of(std::uint8_t first) {
    SealingKey::Bytes bytes{};
    bytes.front() = first;
    return SealingKey(bytes);
}

std::string with_mode(const test::Folder& folder, const std::string& content,
                      std::filesystem::perms mode) {
    folder.write("key", content);
    const std::string path = folder.path("key");
    std::filesystem::permissions(path, mode);
    return path;
}

constexpr auto kOwner = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;

}  // namespace

TEST_CASE("sealing: what was sealed opens with the same key and context only", "[conf][sealing]") {
    const SealingKey key = key_of(1);
    for (const std::string& secret :
         {std::string(), std::string("K005abc"), std::string(5000, '\0')}) {
        const std::string sealed = key.seal(secret, "pool b2");
        CHECK(key.open(sealed, "pool b2").value() == secret);
        CHECK(key.open(sealed, "pool b3").error().kind == ErrorKind::corrupt);
        CHECK(key_of(2).open(sealed, "pool b2").error().kind == ErrorKind::corrupt);
    }
}

TEST_CASE("sealing: the secret cannot be seen, and never looks the same", "[conf][sealing]") {
    const SealingKey key = key_of(1);
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const std::string sealed = key.seal("a secret of some length", "c");
        CHECK(sealed.find("secret") == std::string::npos);
        seen.insert(sealed);
    }
    CHECK(seen.size() == 100);
}

TEST_CASE("sealing: every changed bit and every cut is seen", "[conf][sealing]") {
    const SealingKey key = key_of(1);
    const std::string sealed = key.seal("K005abc", "pool b2");
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        std::string changed = sealed;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
        CAPTURE(bit);
        CHECK(key.open(changed, "pool b2").error().kind == ErrorKind::corrupt);
    }
    for (std::size_t length = 0; length < sealed.size(); ++length)
        CHECK_FALSE(key.open(sealed.substr(0, length), "pool b2"));
    CHECK_FALSE(key.open(sealed + "x", "pool b2"));
}

TEST_CASE("sealing: a key is a private file of 32 bytes", "[conf][sealing]") {
    const test::Folder folder;
    using std::filesystem::perms;
    const auto good = SealingKey::read(with_mode(folder, std::string(32, 'k'), kOwner));
    REQUIRE(good);
    SealingKey::Bytes same;
    same.fill('k');
    CHECK(SealingKey(same).open(good->seal("s", "c"), "c").value() == "s");

    for (const std::size_t size : {0U, 31U, 33U, 64U}) {
        const auto wrong = SealingKey::read(with_mode(folder, std::string(size, 'k'), kOwner));
        REQUIRE_FALSE(wrong);
        CHECK(wrong.error().kind == ErrorKind::invalid);
        CHECK_THAT(wrong.error().text, Catch::Contains("openssl rand") && Catch::Contains("/key"));
    }
    const auto open = SealingKey::read(
        with_mode(folder, std::string(32, 'k'), kOwner | perms::others_read | perms::group_read));
    REQUIRE_FALSE(open);
    CHECK(open.error().kind == ErrorKind::misconfigured);
    CHECK_FALSE(SealingKey::read(folder.path("none")));
}
