// What uploads and the API ask of the catalog's interface.
#include "conf/digest.h"
#include "tests/support/catalog_backends.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::make_pool;
using test::value_of;
using Outcome = Reservation::Outcome;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;

Uuid uuid(unsigned number) {
    return parse_uuid(fmt::format("0b1f6c2e-9a7d-4c55-8a3e-{:012x}", number)).value();
}

std::string original(unsigned number) {
    return fmt::format("uploads/original/2026/02/25/{}.jpg", to_text(uuid(number)));
}

UploadRecord wish(std::uint64_t bytes, std::string owner = "7") {
    return {.owner = std::move(owner), .bytes = bytes, .expires_s = kNow + 60};
}

// An upload that has begun.
UploadRecord begun(unsigned number, std::uint64_t bytes, std::string owner = "7") {
    UploadRecord upload = wish(bytes, std::move(owner));
    upload.image = uuid(number);
    upload.key = original(number);
    upload.process = "p";
    return upload;
}

Reservation reserve(Catalog& catalog, const UploadRecord& upload, std::vector<PoolRoom> pools,
                    std::optional<std::uint64_t> quota = std::nullopt) {
    return value_of(catalog.reserve_upload(upload, pools, {.quota_bytes = quota}, kNow));
}

struct Stored {
    ImageRecord image;
    ObjectRecord original;
};
Stored stored(unsigned number, PoolId pool, std::string_view content, std::string owner = "7") {
    ObjectRecord object = object_record(original(number), pool);
    object.size = content.size();
    object.sha256 = conf::sha256(content);
    object.added_s = kNow;
    return {{.uuid = uuid(number),
             .pool = pool,
             .original = original(number),
             .state = ImageRecord::State::incomplete,
             .uploaded_s = kNow,
             .moved_s = kNow,
             .metadata = "{}",
             .owner = std::move(owner)},
            object};
}

NewJob process(unsigned number) {
    return {.type = "process", .payload = "{}", .dedup_key = fmt::format("process {}", number)};
}

// Through all its steps.
StoredUpload upload(Catalog& catalog, unsigned number, PoolId pool, std::string_view content,
                    const std::string& owner = "7") {
    const auto reserved = reserve(catalog, begun(number, content.size(), owner), {{.pool = pool}});
    REQUIRE(reserved.outcome == Outcome::reserved);
    const Stored each = stored(number, pool, content, owner);
    return value_of(catalog.finish_upload(reserved.upload.id, each.image, each.original,
                                          conf::sha256(content), process(number)));
}

}  // namespace

CATALOG_TEST("catalog: bytes are reserved in the first pool with room", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId warm = make_pool(*catalog, "warm");
    ObjectRecord held = object_record("uploads/a.jpg", hot);
    held.size = 40;
    value_of(catalog->put_object(held));
    const std::vector<PoolRoom> pools{{.pool = hot, .max_bytes = 100},
                                      {.pool = warm, .free_bytes = 50}};
    // 40 are held and 50 reserved: 20 more do not fit.
    CHECK(reserve(*catalog, wish(50), pools).upload.pool == hot);
    CHECK(reserve(*catalog, wish(20), pools).upload.pool == warm);
    CHECK(reserve(*catalog, wish(10), pools).upload.pool == hot);
    CHECK(reserve(*catalog, wish(30), pools).upload.pool == warm);
    CHECK(reserve(*catalog, wish(1), pools).outcome == Outcome::no_room);
    CHECK(reserve(*catalog, wish(1), {}).outcome == Outcome::no_room);
    // What runs out gives its bytes back.
    CHECK(value_of(catalog->forget_sessions(kNow + 60)) == 0);
    CHECK(value_of(catalog->forget_sessions(kNow + 61)) == 4);
    CHECK(reserve(*catalog, wish(60), pools).upload.pool == hot);
}

CATALOG_TEST("catalog: an owner has so many sessions open and no more", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const std::vector<PoolRoom> pools{{.pool = make_pool(*catalog, "hot")}};
    const auto session = [](std::string owner = "7") {
        UploadRecord wanted = wish(1, std::move(owner));
        wanted.token = conf::sha256("a token");
        return wanted;
    };
    const auto outcome_of = [&](const UploadRecord& upload) {
        return value_of(catalog->reserve_upload(upload, pools, {.sessions = 2}, kNow)).outcome;
    };
    reserve(*catalog, wish(1), pools);  // of an upload in pieces, which its token bounds
    const auto first = reserve(*catalog, session(), pools);
    CHECK(outcome_of(session()) == Outcome::reserved);
    CHECK(outcome_of(session()) == Outcome::too_many);
    CHECK(outcome_of(session("8")) == Outcome::reserved);
    // An upload is no session, and one that has begun is none any more.
    CHECK(outcome_of(begun(1, 1)) == Outcome::reserved);
    UploadRecord used = begun(2, 1);
    used.id = first.upload.id;
    used.pool = first.upload.pool;
    REQUIRE(value_of(catalog->begin_upload(used)));
    CHECK(outcome_of(session()) == Outcome::reserved);
    CHECK(outcome_of(session()) == Outcome::too_many);
    // Nor is one that has run out.
    const auto later = catalog->reserve_upload(session(), pools, {.sessions = 1}, kNow + 61);
    CHECK(value_of(later).outcome == Outcome::reserved);
}

CATALOG_TEST("catalog: an owner's quota counts what it has and has reserved", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const std::vector<PoolRoom> pools{{.pool = hot}};
    upload(*catalog, 1, hot, "12345");
    CHECK(reserve(*catalog, wish(4), pools, 10).outcome == Outcome::reserved);
    const auto refused = reserve(*catalog, wish(2), pools, 10);
    CHECK(refused.outcome == Outcome::over_quota);
    CHECK(refused.quota_left == 1);
    CHECK(reserve(*catalog, wish(1), pools, 10).outcome == Outcome::reserved);
    CHECK(reserve(*catalog, wish(1), pools, 3).quota_left == 0);
    CHECK(reserve(*catalog, wish(10, "8"), pools, 10).outcome == Outcome::reserved);
    const OwnerUse use = value_of(catalog->owner_use("7", kNow));
    CHECK(use.images == 1);
    CHECK(use.bytes == 5);
    CHECK(use.reserved_bytes == 5);
    CHECK(value_of(catalog->owner_use("9", kNow)).images == 0);
}

CATALOG_TEST("catalog: a session is used once, by an upload to its pool", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId warm = make_pool(*catalog, "warm");
    UploadRecord session = wish(10);
    session.token = conf::sha256("token");
    session.details = R"({"profile":"original_only"})";
    const auto reserved = reserve(*catalog, session, {{.pool = hot}});
    UploadRecord beginning = begun(1, 10);
    beginning.token = session.token;
    beginning.pool = warm;
    CHECK_FALSE(value_of(catalog->begin_upload(beginning)));
    beginning.pool = hot;
    beginning.expires_s = kNow + 1000;
    const auto taken = value_of(catalog->begin_upload(beginning));
    REQUIRE(taken);
    CHECK(taken->id == reserved.upload.id);
    CHECK(taken->details == session.details);
    CHECK(taken->image == uuid(1));
    CHECK(value_of(catalog->is_being_uploaded(uuid(1))));
    CHECK_FALSE(value_of(catalog->begin_upload(beginning)));
    CHECK_FALSE(value_of(catalog->has_session(*session.token)));
    // It is no session any more that could run out.
    CHECK(value_of(catalog->forget_sessions(kNow + 5000)) == 0);
    const auto open = value_of(catalog->open_uploads());
    REQUIRE(open.size() == 1);
    CHECK(open[0].key == original(1));
    CHECK(open[0].process == "p");
    value_of(catalog->drop_upload(taken->id));
    CHECK_FALSE(value_of(catalog->is_being_uploaded(uuid(1))));
    CHECK(value_of(catalog->open_uploads()).empty());
}

CATALOG_TEST("catalog: the end of an upload writes all its rows at once", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const auto done = upload(*catalog, 1, hot, "content");
    CHECK_FALSE(done.is_duplicate);
    CHECK(done.image == uuid(1));
    const auto image = value_of(catalog->find_image(uuid(1)));
    REQUIRE(image);
    CHECK(image->owner == "7");
    CHECK(image->state == ImageRecord::State::incomplete);
    CHECK(value_of(catalog->find(original(1)))->size == 7);
    CHECK(value_of(catalog->find_owned("7", conf::sha256("content"))) == uuid(1));
    CHECK(value_of(catalog->find_open_job("process 1")));
    CHECK(value_of(catalog->open_uploads()).empty());
    CHECK(value_of(catalog->recount()).balanced());
    CHECK(value_of(catalog->describe_image(uuid(1), ImageRecord::State::complete, "{\"a\":1}")));
    CHECK(value_of(catalog->find_image(uuid(1)))->metadata == "{\"a\":1}");
    CHECK_FALSE(value_of(catalog->describe_image(uuid(2), ImageRecord::State::complete, "")));
}

CATALOG_TEST("catalog: an owner has each content once", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    upload(*catalog, 1, hot, "content");
    const auto again = upload(*catalog, 2, hot, "content");
    CHECK(again.is_duplicate);
    CHECK(again.image == uuid(1));
    CHECK_FALSE(value_of(catalog->find_image(uuid(2))));
    CHECK_FALSE(value_of(catalog->find(original(2))));
    CHECK_FALSE(value_of(catalog->find_open_job("process 2")));
    // Its bytes are still to be removed, so it is still known.
    CHECK(value_of(catalog->is_being_uploaded(uuid(2))));
    CHECK_FALSE(upload(*catalog, 3, hot, "content", "8").is_duplicate);
    // What was deleted may come again.
    const NewJob job{.type = "delete", .payload = "{}", .dedup_key = "delete 1"};
    value_of(catalog->begin_deletion(uuid(1), job, kNow));
    CHECK_FALSE(value_of(catalog->find_owned("7", conf::sha256("content"))));
    CHECK(value_of(catalog->owner_use("7", kNow)).bytes == 0);
    CHECK_FALSE(upload(*catalog, 4, hot, "content").is_duplicate);
    CHECK(value_of(catalog->owner_use("7", kNow)).images == 1);
    // So may one whose original alone was removed.
    CHECK(value_of(catalog->remove_object(original(4), hot)));
    CHECK(value_of(catalog->owner_use("7", kNow)).images == 0);
    CHECK_FALSE(upload(*catalog, 5, hot, "content").is_duplicate);
}

CATALOG_TEST("catalog: an upload that was given up does not end", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const auto reserved = reserve(*catalog, begun(1, 7), {{.pool = hot}});
    value_of(catalog->drop_upload(reserved.upload.id));
    const Stored each = stored(1, hot, "content");
    const auto done = catalog->finish_upload(reserved.upload.id, each.image, each.original,
                                             conf::sha256("content"), process(1));
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::conflict);
    CHECK_FALSE(value_of(catalog->find_image(uuid(1))));
    CHECK_FALSE(value_of(catalog->find(original(1))));
}

CATALOG_TEST("catalog: what is being uploaded is nobody's to adopt", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    reserve(*catalog, begun(1, 7), {{.pool = hot}});
    const std::vector<ObjectRecord> seen{object_record(original(1), hot),
                                         object_record(original(2), hot)};
    const std::vector expected{Adoption::uploading, Adoption::added};
    CHECK(value_of(catalog->would_adopt(seen)) == expected);
    CHECK(value_of(catalog->adopt(seen)) == expected);
    CHECK_FALSE(value_of(catalog->find(original(1))));
}

CATALOG_TEST("catalog: a pool with an upload stays; its sessions go with it", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    reserve(*catalog, wish(5), {{.pool = hot}});
    const auto reserved = reserve(*catalog, begun(1, 7), {{.pool = hot}});
    const auto removed = catalog->remove_pool(hot);
    REQUIRE_FALSE(removed);
    CHECK(removed.error().kind == ErrorKind::conflict);
    value_of(catalog->drop_upload(reserved.upload.id));
    value_of(catalog->remove_pool(hot));
    CHECK(value_of(catalog->owner_use("7", kNow)).reserved_bytes == 0);
}

CATALOG_TEST("catalog: keys are found by their digest until they are revoked", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    const KeyRecord key{.hash = conf::sha256("one"),
                        .owner = "7",
                        .name = "plugin",
                        .limits = "{}",
                        .created_s = kNow,
                        .expires_s = kNow + 10};
    value_of(catalog->add_key(key));
    CHECK(catalog->add_key(key).error().kind == ErrorKind::conflict);
    value_of(catalog->add_key({.hash = conf::sha256("two"),
                               .owner = "8",
                               .name = {},
                               .limits = "{}",
                               .created_s = kNow - 1}));
    CHECK(value_of(catalog->find_key(key.hash)) == key);
    CHECK_FALSE(value_of(catalog->find_key(conf::sha256("three"))));
    const auto all = value_of(catalog->list_keys({}, 10));
    REQUIRE(all.size() == 2);
    CHECK(all[0].owner == "8");
    CHECK(value_of(catalog->list_keys({.owner = "7"}, 10)) == std::vector{key});
    CHECK(value_of(catalog->revoke_key(key.hash, kNow + 1)));
    CHECK_FALSE(value_of(catalog->revoke_key(key.hash, kNow + 2)));
    CHECK(value_of(catalog->find_key(key.hash))->revoked_s == kNow + 1);
}

CATALOG_TEST("catalog: keys come a page at a time, and are found by how they begin", "[uploads]") {
    TestType backend;
    const auto catalog = backend.open();
    std::vector<KeyRecord> made;
    for (int i = 0; i < 10; ++i) {
        KeyRecord key{.hash = {},
                      .owner = i % 2 == 0 ? "7" : "8",
                      .name = {},
                      .limits = "{}",
                      .created_s = kNow + i / 4};
        key.hash[0] = static_cast<std::uint8_t>(i / 2);
        key.hash[31] = static_cast<std::uint8_t>(i);
        value_of(catalog->add_key(key));
        made.push_back(key);
    }
    std::vector<KeyRecord> listed;
    KeyFilter filter;
    while (true) {
        const auto page = value_of(catalog->list_keys(filter, 3));
        listed.insert(listed.end(), page.begin(), page.end());
        if (page.size() < 3) break;
        filter.after = {.created_s = page.back().created_s, .hash = page.back().hash};
    }
    CHECK(listed == made);
    filter = {.owner = "8", .after = KeyFilter::Place{.created_s = kNow, .hash = made[1].hash}};
    CHECK(value_of(catalog->list_keys(filter, 2)) == std::vector{made[3], made[5]});

    conf::Sha256Digest first{};
    conf::Sha256Digest last{};
    last.fill(0xFF);
    first[0] = last[0] = 2;
    CHECK(value_of(catalog->keys_between(first, last, 2)) == std::vector{made[4], made[5]});
    CHECK(value_of(catalog->keys_between(first, last, 1)) == std::vector{made[4]});
    value_of(catalog->revoke_key(made[4].hash, kNow));
    CHECK(value_of(catalog->keys_between(first, last, 2)) == std::vector{made[5]});
}
