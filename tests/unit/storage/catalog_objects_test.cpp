// The catalog's interface: objects, images, backups and accounts.
#include "tests/support/catalog_backends.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace tidepool;
using namespace tidepool::storage;
using test::check_accounts;
using test::make_object;
using test::make_pool;
using test::value_of;

namespace {

const std::string kUuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";
const std::string kOriginal = "uploads/original/2026/02/25/" + kUuid + ".jpg";

std::string variant(const std::string& rest) {
    return "uploads/variants/2026/02/25/" + kUuid + rest;
}

conf::Sha256Digest digest(std::uint8_t byte) {
    conf::Sha256Digest value{};
    value.fill(byte);
    return value;
}

Account account(PoolId pool, Role role, std::uint64_t count, std::uint64_t bytes) {
    return {.pool = pool, .role = role, .count = count, .bytes = bytes};
}

std::vector<std::string> keys_of(const std::vector<ObjectRecord>& objects) {
    std::vector<std::string> keys;
    for (const ObjectRecord& object : objects)
        keys.push_back(object.key);
    return keys;
}

}  // namespace

CATALOG_TEST("catalog: a row reads back as it was put", "") {
    TestType backend;
    const auto catalog = backend.open();
    ObjectRecord object = make_object(kOriginal, make_pool(*catalog, "hot"), 1ULL << 40);
    object.sha256 = digest(7);
    object.content_type = "image/jpeg";
    object.store_etag = "etag";
    object.version_id = "version";
    CHECK(object.image == parse_uuid(kUuid));
    CHECK_FALSE(value_of(catalog->find(kOriginal)));
    CHECK_FALSE(value_of(catalog->put_object(object)));
    CHECK(value_of(catalog->find(kOriginal)) == object);
    const ObjectRecord bare = make_object("uploads/\xC3\xA4 b.png", object.pool, 0);
    CHECK_FALSE(value_of(catalog->put_object(bare)));
    CHECK(value_of(catalog->find(bare.key)) == bare);
    CHECK_FALSE(value_of(catalog->find("uploads/")));
    CHECK_FALSE(value_of(catalog->find("")));
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: another connection sees a row at once, and after all were closed", "") {
    TestType backend;
    const auto first = backend.open();
    const auto second = backend.open();
    const PoolId pool = make_pool(*first, "hot");
    value_of(first->put_object(make_object("uploads/a.jpg", pool)));
    CHECK(value_of(second->find("uploads/a.jpg")));
    CHECK(value_of(backend.open()->find("uploads/a.jpg")));
}

CATALOG_TEST("catalog: one home: a key has one row, and putting it elsewhere gives the old one",
             "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    const ObjectRecord old = make_object(kOriginal, hot, 10);
    value_of(catalog->put_object(old));
    CHECK(value_of(catalog->put_object(make_object(kOriginal, cold, 30))) == old);
    CHECK(value_of(catalog->find(kOriginal))->pool == cold);
    CHECK(value_of(catalog->accounts()) == std::vector{account(cold, Role::original, 1, 30)});
    CHECK(value_of(catalog->find_image(*parse_uuid(kUuid)))->pool == cold);
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: what is meant for where its image is goes nowhere else", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    value_of(catalog->put_in_place(make_object(kOriginal, hot, 10)));
    value_of(catalog->put_in_place(make_object(variant(".webp"), hot, 1)));
    value_of(catalog->put_in_place(make_object(variant(".webp"), hot, 2)));
    for (const std::string& key : {std::string(kOriginal), variant(".webp"), variant(".avif")}) {
        INFO(key);
        const auto refused = catalog->put_in_place(make_object(key, cold, 3));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::conflict);
    }
    CHECK(value_of(catalog->list(cold, "", "", 10)).empty());
    CHECK(value_of(catalog->find(variant(".webp")))->size == 2);
    value_of(catalog->put_in_place(make_object("uploads/original/loose.jpg", cold, 3)));
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: invariant 5: accounts follow every kind of change, by role", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    value_of(catalog->put_object(make_object(kOriginal, hot, 1000)));
    value_of(catalog->put_object(make_object(variant(".webp"), hot, 100)));
    value_of(catalog->put_object(make_object(variant("_small.webp"), hot, 10)));
    CHECK(value_of(catalog->accounts()) ==
          std::vector{account(hot, Role::original, 1, 1000), account(hot, Role::variant, 2, 110)});
    value_of(catalog->put_object(make_object(variant(".webp"), hot, 200)));
    CHECK(value_of(catalog->accounts())[1] == account(hot, Role::variant, 2, 210));
    value_of(catalog->relocate(
        {.objects = {make_object(kOriginal, hot, 1000), make_object(variant(".webp"), hot, 200)},
         .to = cold,
         .now_s = 5}));
    CHECK(value_of(catalog->accounts()) == std::vector{account(hot, Role::variant, 1, 10),
                                                       account(cold, Role::original, 1, 1000),
                                                       account(cold, Role::variant, 1, 200)});
    check_accounts(*catalog);
    CHECK(value_of(catalog->remove_object(kOriginal, cold)));
    CHECK(value_of(catalog->remove_object(variant(".webp"), cold)));
    CHECK(value_of(catalog->remove_object(variant("_small.webp"), hot)));
    CHECK(value_of(catalog->accounts()).empty());
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: invariant 4: removing twice, or from where it is not, changes nothing", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    value_of(catalog->put_object(make_object(kOriginal, hot)));
    CHECK_FALSE(value_of(catalog->remove_object(kOriginal, cold)));
    CHECK(value_of(catalog->find(kOriginal)));
    CHECK(value_of(catalog->remove_object(kOriginal, hot)));
    CHECK_FALSE(value_of(catalog->remove_object(kOriginal, hot)));
    CHECK_FALSE(value_of(catalog->find_image(*parse_uuid(kUuid))));
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: adoption adds what is new and keeps what another pool has", "[adopt]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    value_of(catalog->put_object(make_object("uploads/cold.jpg", cold, 50)));
    const std::vector seen{make_object("uploads/new.jpg", hot, 1),
                           make_object("uploads/cold.jpg", hot, 2),
                           make_object("uploads/new.jpg", hot, 1)};
    const std::vector expected{Adoption::added, Adoption::foreign, Adoption::unchanged};
    CHECK(value_of(catalog->would_adopt(seen)) ==
          std::vector{Adoption::added, Adoption::foreign, Adoption::added});
    CHECK_FALSE(value_of(catalog->find("uploads/new.jpg")));
    CHECK(value_of(catalog->adopt(seen)) == expected);
    CHECK(value_of(catalog->find("uploads/cold.jpg"))->pool == cold);
    CHECK(value_of(catalog->find("uploads/cold.jpg"))->size == 50);
    CHECK(value_of(catalog->adopt(seen))[0] == Adoption::unchanged);
    CHECK(value_of(catalog->adopt({})).empty());
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: adoption of a changed file takes its size and forgets its old content",
             "[adopt]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    ObjectRecord object = make_object("uploads/a.jpg", hot, 10);
    object.sha256 = digest(1);
    object.content_type = "image/jpeg";
    value_of(catalog->put_object(object));

    ObjectRecord seen = make_object("uploads/a.jpg", hot, 10);
    seen.added_s = 99;
    CHECK(value_of(catalog->adopt(std::vector{seen})) == std::vector{Adoption::unchanged});
    CHECK(value_of(catalog->find("uploads/a.jpg")) == object);

    seen.size = 11;
    CHECK(value_of(catalog->adopt(std::vector{seen})) == std::vector{Adoption::changed});
    const auto changed = value_of(catalog->find("uploads/a.jpg"));
    CHECK(changed->size == 11);
    CHECK_FALSE(changed->sha256);
    CHECK(changed->content_type.empty());
    CHECK(changed->added_s == object.added_s);

    seen.sha256 = digest(2);
    seen.content_type = "image/png";
    CHECK(value_of(catalog->adopt(std::vector{seen})) == std::vector{Adoption::changed});
    CHECK(value_of(catalog->find("uploads/a.jpg"))->sha256 == digest(2));

    seen.sha256.reset();
    seen.content_type.clear();
    ++seen.modified_s;
    CHECK(value_of(catalog->adopt(std::vector{seen})) == std::vector{Adoption::changed});
    CHECK_FALSE(value_of(catalog->find("uploads/a.jpg"))->sha256);
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: what is the same by ETag keeps its time and its hash", "[adopt]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId cold = make_pool(*catalog, "cold");
    ObjectRecord object = make_object("uploads/a.jpg", cold, 10);
    object.sha256 = digest(1);
    object.store_etag = "one";
    object.version_id = "v1";
    value_of(catalog->put_object(object));
    ObjectRecord listed = make_object("uploads/a.jpg", cold, 10);
    listed.store_etag = "one";
    listed.modified_s = object.modified_s + 1000;  // when it came into the bucket
    CHECK(value_of(catalog->adopt(std::vector{listed})) == std::vector{Adoption::unchanged});
    CHECK(value_of(catalog->find("uploads/a.jpg")) == object);
    listed.store_etag = "two";
    CHECK(value_of(catalog->adopt(std::vector{listed})) == std::vector{Adoption::changed});
    CHECK_FALSE(value_of(catalog->find("uploads/a.jpg"))->sha256);
    CHECK(value_of(catalog->find("uploads/a.jpg"))->version_id.empty());
}

CATALOG_TEST("catalog: a move of objects is whole or nothing", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    ObjectRecord object = make_object(kOriginal, hot, 7);
    object.sha256 = digest(3);
    value_of(catalog->put_object(object));
    value_of(catalog->put_object(make_object(variant(".webp"), cold, 3)));
    ObjectRecord stored = object;
    stored.store_etag = "etag";
    stored.version_id = "version";
    const auto refused_of = [&](const Relocation& relocation) {
        const auto refused = catalog->relocate(relocation);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::conflict);
        CHECK(value_of(catalog->find(kOriginal)) == object);
        CHECK(value_of(catalog->list_jobs({.type = "clean"}, 10)).empty());
        check_accounts(*catalog);
    };
    const NewJob clean{.type = "clean", .payload = "{}"};
    const auto to_cold = [&](std::vector<ObjectRecord> objects) {
        return Relocation{.objects = std::move(objects), .to = cold, .now_s = 5, .then = {clean}};
    };
    refused_of(to_cold({stored, make_object(variant(".webp"), hot, 3)}));  // that is in cold
    ObjectRecord other = stored;
    other.size = 8;
    refused_of(to_cold({other}));
    other = stored;
    other.sha256 = digest(4);
    refused_of(to_cold({other}));
    Relocation relocation = to_cold({stored});
    relocation.by = {77, "nobody"};
    refused_of(relocation);
    // A variant that came meanwhile goes too, or nothing does.
    value_of(catalog->put_object(make_object(variant("_small.webp"), hot, 3)));
    relocation = to_cold({stored});
    relocation.image = parse_uuid(kUuid);
    refused_of(relocation);
    CHECK(value_of(catalog->remove_object(variant("_small.webp"), hot)));
    const JobId job = value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
    const Catalog::LaneWant want{.lane = "move"};
    REQUIRE(value_of(catalog->take_jobs({&want, 1}, "me", 0, 30)).size() == 1);
    relocation.by = {job, "me"};
    value_of(catalog->relocate(relocation));
    CHECK(value_of(catalog->find_job(job))->state == JobRecord::State::done);
    CHECK(value_of(catalog->list_jobs({.type = "clean"}, 10)).size() == 1);
    object.pool = cold;
    object.store_etag = "etag";
    object.version_id = "version";
    CHECK(value_of(catalog->find(kOriginal)) == object);
    const auto image = value_of(catalog->find_image(*parse_uuid(kUuid)));
    CHECK(image->pool == cold);
    CHECK(image->moved_s == 5);
}

CATALOG_TEST("catalog: of jobs that end together, one that fails holds up no other", "[jobs]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    const auto key = [](int n) { return fmt::format("uploads/{}.jpg", n); };
    std::vector<Relocation> relocations;
    for (int n = 0; n < 3; ++n) {
        const ObjectRecord object = make_object(key(n), hot, 100);
        value_of(catalog->put_object(object));
        value_of(catalog->queue_job({.type = "move", .payload = "{}"}, 0));
        relocations.push_back({.objects = {object}, .to = cold});
    }
    value_of(catalog->queue_job({.type = "clean", .payload = "{}", .lane = "move"}, 1));
    const Catalog::LaneWant want{.lane = "move", .jobs = 4};
    const auto jobs = value_of(catalog->take_jobs({&want, 1}, "me", 1, 30));
    REQUIRE(jobs.size() == 4);
    std::vector<JobEnding> endings;
    for (std::size_t n = 0; n < 3; ++n) {
        relocations[n].by = {jobs[n].id, "me"};
        endings.push_back({.job = relocations[n].by, .relocation = &relocations[n]});
    }
    relocations[1].objects[0].size = 99;  // it was replaced meanwhile
    endings.push_back({.job = {jobs[3].id, "me"}});
    const auto ends = catalog->end_jobs(endings, 2);
    REQUIRE(ends.size() == 4);
    CHECK((value_of(ends[0]) && value_of(ends[2]) && value_of(ends[3])));
    REQUIRE_FALSE(ends[1]);
    CHECK(ends[1].error().kind == ErrorKind::conflict);
    const auto home = [&](int n) { return value_of(catalog->find(key(n)))->pool; };
    CHECK((home(0) == cold && home(1) == hot && home(2) == cold));
    CHECK(value_of(catalog->find_job(jobs[1].id))->state == JobRecord::State::running);
    CHECK(value_of(catalog->find_job(jobs[2].id))->state == JobRecord::State::done);
    CHECK(value_of(catalog->find_job(jobs[3].id))->state == JobRecord::State::done);
    test::check_accounts(*catalog);
    // It is somebody else's.
    const JobEnding foreign{.job = {jobs[1].id, "you"}};
    CHECK_FALSE(value_of(catalog->end_jobs({&foreign, 1}, 3).front()));
    CHECK(catalog->end_jobs({}, 3).empty());
}

CATALOG_TEST("catalog: a variant gets a row only where its original is", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    const auto put = [&](PoolId pool, bool may_lack_row) {
        const auto done =
            catalog->put_variant(make_object(variant(".webp"), pool), kOriginal, may_lack_row);
        return done ? "" : std::string(name_of(done.error().kind));
    };
    CHECK(put(hot, false) == "not_found");
    CHECK(put(hot, true).empty());
    value_of(catalog->put_object(make_object(kOriginal, cold)));
    CHECK(put(hot, true) == "conflict");
    CHECK(put(cold, false).empty());
    CHECK(value_of(catalog->find(variant(".webp")))->pool == cold);
    value_of(catalog->begin_deletion(*parse_uuid(kUuid), {.type = "delete", .payload = "{}"}, 9));
    CHECK(put(cold, false) == "not_found");
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: an image is private until that is taken back", "[private]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const Uuid image = *parse_uuid(kUuid);
    CHECK_FALSE(value_of(catalog->set_private(image, true)));
    const ObjectRecord original = make_object(kOriginal, hot);
    value_of(catalog->put_object(original));
    CHECK_FALSE(value_of(catalog->locate(kOriginal)).is_private);
    CHECK(value_of(catalog->locate(kOriginal)).home == hot);
    CHECK_FALSE(value_of(catalog->locate("uploads/other.jpg")).home);

    CHECK(value_of(catalog->set_private(image, true)));
    CHECK(value_of(catalog->set_private(image, true)));
    CHECK(value_of(catalog->find_image(image))->is_private);
    CHECK(value_of(catalog->list_images({}, 10)).images.at(0).is_private);
    CHECK(value_of(catalog->locate(kOriginal)).is_private);
    CHECK(value_of(catalog->locate(variant(".avif"))).is_private);
    CHECK_FALSE(value_of(catalog->locate("uploads/other.jpg")).is_private);
    // Whoever writes the row says nothing of that.
    ImageRecord row = *value_of(catalog->find_image(image));
    row.is_private = false;
    value_of(catalog->put_image(row));
    CHECK(value_of(catalog->find_image(image))->is_private);
    // A file that is not found for a while, and found again.
    CHECK(value_of(catalog->remove_object(kOriginal, hot)));
    CHECK_FALSE(value_of(catalog->find_image(image)));
    CHECK(value_of(catalog->locate(variant(".avif"))).is_private);
    value_of(catalog->adopt(std::vector{original}));
    CHECK(value_of(catalog->find_image(image))->is_private);

    CHECK(value_of(catalog->set_private(image, false)));
    CHECK_FALSE(value_of(catalog->locate(kOriginal)).is_private);
    // With the image's deletion it is forgotten.
    CHECK(value_of(catalog->set_private(image, true)));
    value_of(catalog->begin_deletion(image, {.type = "delete", .payload = "{}"}, 9));
    CHECK(value_of(catalog->forget_deletions(1000)) == 0);
    value_of(catalog->end_deletion(image));
    CHECK(value_of(catalog->locate(kOriginal)).is_private);
    CHECK(value_of(catalog->forget_deletions(9)) == 0);
    CHECK(value_of(catalog->locate(kOriginal)).is_private);
    CHECK(value_of(catalog->forget_deletions(1000)) == 1);
    CHECK_FALSE(value_of(catalog->locate(kOriginal)).is_private);
}

CATALOG_TEST("catalog: what was deleted is located as that, and comes back by no way", "[delete]") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const Uuid image = *parse_uuid(kUuid);
    const ObjectRecord original = make_object(kOriginal, hot);
    value_of(catalog->put_object(original));
    CHECK_FALSE(value_of(catalog->locate(kOriginal)).is_deleted);
    const NewJob job{.type = "delete", .payload = "{}", .dedup_key = "delete"};
    const JobId id = value_of(catalog->begin_deletion(image, job, 100));
    CHECK(value_of(catalog->begin_deletion(image, job, 101)) == id);
    CHECK(value_of(catalog->locate(kOriginal)).is_deleted);
    CHECK(value_of(catalog->locate(kOriginal)).row == original);
    CHECK(value_of(catalog->locate(variant(".avif"))).is_deleted);
    CHECK_FALSE(value_of(catalog->locate("uploads/other.jpg")).is_deleted);
    CHECK(value_of(catalog->adopt(std::vector{make_object(variant(".webp"), hot)})) ==
          std::vector{Adoption::deleted});
    CHECK_FALSE(catalog->put_object(original));
    CHECK_FALSE(catalog->relocate({.objects = {original}, .to = hot, .image = image}));
    CHECK(value_of(catalog->find_image(image))->state == ImageRecord::State::deleting);
    CHECK(value_of(catalog->forget_deletions(1000)) == 0);  // it is not done yet
    // Copies of it may be left when all rows have gone: it is taken up again, and not forgotten.
    CHECK(value_of(catalog->remove_object(kOriginal, hot)));
    CHECK(value_of(catalog->find_image(image)));
    CHECK(value_of(catalog->unended_deletions({}, 10)) == std::vector{image});
    CHECK(value_of(catalog->forget_deletions(1000)) == 0);
    value_of(catalog->end_deletion(image));
    CHECK_FALSE(value_of(catalog->find_image(image)));
    CHECK(value_of(catalog->unended_deletions({}, 10)).empty());
    CHECK(value_of(catalog->is_deleted(image)));
    CHECK(value_of(catalog->forget_deletions(101)) == 0);
    CHECK(value_of(catalog->forget_deletions(102)) == 1);
    CHECK_FALSE(value_of(catalog->is_deleted(image)));
    value_of(catalog->put_object(original));
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: an image has its original and all its variants, and no neighbour's", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const std::string other = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ac";
    for (const std::string& key :
         {kOriginal, variant(".webp"), variant("_small.webp"), variant("_medium.avif"),
          "uploads/original/2026/02/25/" + other + ".jpg",
          "uploads/variants/2026/02/25/" + other + ".webp",
          "uploads/variants/2026/02/26/" + kUuid + ".webp"}) {
        value_of(catalog->put_object(make_object(key, hot)));
    }
    CHECK(
        keys_of(value_of(catalog->objects_of(*parse_uuid(kUuid)))) ==
        std::vector{kOriginal, variant(".webp"), variant("_medium.avif"), variant("_small.webp")});
    CHECK(value_of(catalog->objects_of(Uuid{})).empty());
    std::vector<ObjectRecord> many;  // more than a page of a listing
    for (int number = 0; number < 20'001; ++number)
        many.push_back(make_object(variant(fmt::format("_{}.webp", number)), hot));
    value_of(catalog->adopt(many));
    CHECK(value_of(catalog->objects_of(*parse_uuid(kUuid))).size() == 4 + many.size());
    ImageRecord image = *value_of(catalog->find_image(*parse_uuid(kUuid)));
    CHECK(image.original == kOriginal);
    CHECK(image.state == ImageRecord::State::complete);
    image.state = ImageRecord::State::deleting;
    image.metadata = R"({"album_id":4})";
    value_of(catalog->put_image(image));
    CHECK(value_of(catalog->find_image(image.uuid)) == image);
}

CATALOG_TEST("catalog: listings are by key, by prefix and pool, in pages", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId cold = make_pool(*catalog, "cold");
    const std::vector<std::string> keys{"a",   "a/b",        "a/b/c",           "a/b0", "a0",
                                        "b/x", "b/\xC3\xA4", "b/z\xEF\xBF\xBF", "c"};
    for (const std::string& key : keys)
        value_of(catalog->put_object(make_object(key, key == "a/b/c" ? cold : hot)));
    const auto list = [&](std::optional<PoolId> pool, const std::string& prefix,
                          const std::string& after, std::size_t limit) {
        return keys_of(value_of(catalog->list(pool, prefix, after, limit)));
    };
    std::vector<std::string> sorted = keys;
    std::ranges::sort(sorted);
    CHECK(list({}, "", "", 100) == sorted);
    CHECK(list({}, "a/", "", 100) == std::vector<std::string>{"a/b", "a/b/c", "a/b0"});
    CHECK(list(hot, "a/", "", 100) == std::vector<std::string>{"a/b", "a/b0"});
    CHECK(list(cold, "", "", 100) == std::vector<std::string>{"a/b/c"});
    CHECK(list({}, "a/", "a/b", 100) == std::vector<std::string>{"a/b/c", "a/b0"});
    CHECK(list({}, "a/b/", "a/b", 100) == std::vector<std::string>{"a/b/c"});
    CHECK(list({}, "a/", "z", 100).empty());
    CHECK(list({}, "b/", "", 100).size() == 3);
    CHECK(list({}, "", "", 0).empty());
    std::vector<std::string> paged;
    std::string after;
    while (true) {
        const auto page = list(hot, "", after, 3);
        if (page.empty()) break;
        paged.insert(paged.end(), page.begin(), page.end());
        after = page.back();
    }
    std::erase(sorted, "a/b/c");
    CHECK(paged == sorted);
}

CATALOG_TEST("catalog: backups are counted apart", "") {
    TestType backend;
    const auto catalog = backend.open();
    const PoolId hot = make_pool(*catalog, "hot");
    const PoolId safe = make_pool(*catalog, "safe");
    value_of(catalog->put_object(make_object(kOriginal, hot, 10)));
    BackupRecord backup{.pool = safe,
                        .key = *backup_key(kOriginal),
                        .original = kOriginal,
                        .size = 10,
                        .sha256 = digest(1),
                        .store_etag = "e",
                        .version_id = "v",
                        .added_s = 4};
    value_of(catalog->put_backup(backup));
    CHECK(value_of(catalog->backups_of(kOriginal)) == std::vector{backup});
    CHECK(value_of(catalog->accounts()) ==
          std::vector{account(hot, Role::original, 1, 10), account(safe, Role::backup, 1, 10)});
    backup.size = 12;
    value_of(catalog->put_backup(backup));
    check_accounts(*catalog);
    CHECK(value_of(catalog->remove_backup(safe, backup.key)));
    CHECK_FALSE(value_of(catalog->remove_backup(safe, backup.key)));
    CHECK(value_of(catalog->backups_of(kOriginal)).empty());
    check_accounts(*catalog);
}

CATALOG_TEST("catalog: changes of others are noticed, one's own are not", "") {
    TestType backend;
    const auto mine = backend.open();
    const auto theirs = backend.open();
    const PoolId hot = make_pool(*mine, "hot");
    const auto before = value_of(mine->foreign_changes());
    value_of(mine->put_object(make_object("uploads/a.jpg", hot)));
    value_of(mine->adopt(std::vector{make_object("uploads/b.jpg", hot)}));
    CHECK(value_of(mine->foreign_changes()) == before);
    CHECK(value_of(theirs->foreign_changes()) > 0);
    value_of(theirs->adopt(std::vector{make_object("uploads/b.jpg", hot)}));  // changes nothing
    CHECK(value_of(mine->foreign_changes()) == before);
    value_of(theirs->remove_object("uploads/a.jpg", hot));
    CHECK(value_of(mine->foreign_changes()) > before);
}

CATALOG_TEST("catalog: invariant 5: threads and connections that write at once keep accounts right",
             "") {
    TestType backend;
    const auto first = backend.open();
    const auto second = backend.open();
    const PoolId hot = make_pool(*first, "hot");
    const PoolId cold = make_pool(*first, "cold");
    constexpr int kRounds = 40;
    std::atomic<int> failures = 0;
    const auto work = [&](Catalog& catalog, int seed) {
        for (int i = 0; i < kRounds; ++i) {
            const std::string key = "uploads/" + std::to_string((i * 7 + seed) % 10) + ".jpg";
            const auto size = static_cast<std::uint64_t>(i + seed);
            bool good = true;
            switch ((i + seed) % 4) {
                case 0:
                    good = catalog.put_object(make_object(key, hot, size)).has_value();
                    break;
                case 1:
                    good = catalog.adopt(std::vector{make_object(key, cold, size)}).has_value();
                    break;
                case 2:
                    good = catalog.remove_object(key, hot).has_value();
                    break;
                default:
                    good = catalog.find(key).has_value();
            }
            if (!good) ++failures;
        }
    };
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 6; ++i)
            threads.emplace_back([&, i] { work(i % 2 == 0 ? *first : *second, i); });
    }
    CHECK(failures == 0);
    check_accounts(*first);
}
