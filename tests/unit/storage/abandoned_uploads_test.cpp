#include "storage/abandoned_uploads.h"

#include "storage/job_owner.h"
#include "tests/support/move_bench.h"

#include <string>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::kOriginal;
using test::kUuid;
using test::value_of;

namespace {

// An upload that has put its bytes into a pool.
struct Upload : test::MoveBench {
    explicit Upload(const std::string& process, const std::string& pool = "hot") : pool_(pool) {
        UploadRecord wanted{.owner = "7", .bytes = 7, .expires_s = now_s + 600};
        wanted.image = parse_uuid(kUuid);
        wanted.key = kOriginal;
        wanted.process = process;
        const PoolRoom room{.pool = ids[pool]};
        reserved = value_of(catalog->reserve_upload(wanted, {&room, 1}, {}, now_s));
        arrive();
    }

    void arrive() { store(pool_).place(kOriginal, "content", now_s); }
    std::size_t clean(std::int64_t at_s) {
        return value_of(clean_abandoned_uploads(*catalog, drivers, at_s));
    }
    bool is_there() { return store(pool_).content(kOriginal).has_value(); }
    bool is_open() { return value_of(catalog->is_being_uploaded(*parse_uuid(kUuid))); }
    Result<StoredUpload> finish() {
        ObjectRecord original = object_record(kOriginal, ids[pool_]);
        original.size = 7;
        original.sha256 = conf::sha256("content");
        const ImageRecord image{.uuid = *parse_uuid(kUuid),
                                .pool = ids[pool_],
                                .original = kOriginal,
                                .uploaded_s = now_s,
                                .moved_s = now_s,
                                .metadata = {},
                                .owner = "7"};
        return catalog->finish_upload(reserved.upload.id, image, original, *original.sha256, {});
    }

    Reservation reserved;

  private:
    const std::string pool_;
};

}  // namespace

TEST_CASE("abandoned uploads: one that goes on is left alone", "[abandoned_uploads]") {
    Upload upload(new_job_owner());
    CHECK(upload.clean(upload.now_s) == 0);
    CHECK(upload.is_there());
    REQUIRE(upload.finish());
    CHECK(upload.clean(upload.now_s + 10'000) == 0);
    CHECK(upload.is_there());
}

TEST_CASE("abandoned uploads: what is not renewed is removed, and does not end any more",
          "[abandoned_uploads]") {
    // The process lives, but nobody renews it: so it is with one of another machine that died.
    Upload upload(new_job_owner());
    const UploadId id = upload.reserved.upload.id;
    value_of(upload.catalog->renew_uploads({&id, 1}, upload.now_s + 1000));
    CHECK(upload.clean(upload.now_s + 999) == 0);
    CHECK(upload.clean(upload.now_s + 1000) == 1);
    CHECK_FALSE(upload.is_there());
    CHECK_FALSE(upload.is_open());
    CHECK(upload.finish().error().kind == ErrorKind::conflict);
}

TEST_CASE("abandoned uploads: one that was claimed does not end", "[abandoned_uploads]") {
    Upload upload(new_job_owner());
    const auto open = value_of(upload.catalog->open_uploads());
    REQUIRE(open.size() == 1);
    CHECK(value_of(upload.catalog->claim_abandoned(open[0], upload.now_s)));
    CHECK_FALSE(value_of(upload.catalog->claim_abandoned(open[0], upload.now_s)));
    CHECK(upload.finish().error().kind == ErrorKind::conflict);
    const UploadId id = upload.reserved.upload.id;
    value_of(upload.catalog->renew_uploads({&id, 1}, upload.now_s + 1000));
    CHECK(upload.clean(upload.now_s) == 1);
    CHECK_FALSE(upload.is_there());
}

TEST_CASE("abandoned uploads: one that ended meanwhile cannot be claimed", "[abandoned_uploads]") {
    Upload upload(new_job_owner());
    const auto open = value_of(upload.catalog->open_uploads());
    REQUIRE(upload.finish());
    CHECK_FALSE(value_of(upload.catalog->claim_abandoned(open[0], upload.now_s + 10'000)));
    CHECK(upload.is_there());
}

TEST_CASE("abandoned uploads: given up ones wait for a late answer", "[abandoned_uploads]") {
    Upload upload(new_job_owner());
    value_of(upload.catalog->abandon_upload(upload.reserved.upload.id, upload.now_s + 120, 0));
    CHECK(value_of(upload.catalog->owner_use("7", upload.now_s)).reserved_bytes == 0);
    CHECK(upload.finish().error().kind == ErrorKind::conflict);
    CHECK(upload.clean(upload.now_s + 119) == 0);
    CHECK(upload.clean(upload.now_s + 120) == 1);
    CHECK_FALSE(upload.is_there());
}

TEST_CASE("abandoned uploads: what a bucket stores once its sender has died is removed",
          "[abandoned_uploads]") {
    const std::string dead = [] {
        std::string owner = new_job_owner();
        owner.insert(owner.rfind(' '), "1");  // it began at another time
        return owner;
    }();
    REQUIRE(has_ended(dead));
    Upload file(dead);
    CHECK(file.clean(file.now_s) == 1);
    CHECK_FALSE(file.is_there());

    Upload upload(dead, "cold");
    CHECK(upload.clean(upload.now_s) == 0);
    CHECK_FALSE(upload.is_there());
    CHECK(upload.finish().error().kind == ErrorKind::conflict);
    upload.arrive();
    CHECK(upload.clean(upload.now_s + kLateAnswerS - 1) == 0);
    CHECK(upload.is_there());
    CHECK(upload.clean(upload.now_s + kLateAnswerS) == 1);
    CHECK_FALSE(upload.is_there());
    CHECK(value_of(upload.catalog->open_uploads()).empty());
}

TEST_CASE("abandoned uploads: a pool that does not answer is asked again", "[abandoned_uploads]") {
    Upload upload("");
    std::vector<KnownPool> pools = upload.drivers.pools();
    const std::vector<KnownPool> all = pools;
    pools.erase(pools.begin());
    upload.drivers.use_pools(pools);
    CHECK(upload.clean(upload.now_s + 600) == 0);
    CHECK(upload.is_open());
    upload.drivers.use_pools(all);
    CHECK(upload.clean(upload.now_s + 601) == 1);
    CHECK_FALSE(upload.is_there());
}

TEST_CASE("abandoned uploads: one that others gave up is not given up twice",
          "[abandoned_uploads]") {
    Upload upload(new_job_owner());
    const auto open = value_of(upload.catalog->open_uploads());
    CHECK(value_of(upload.catalog->claim_abandoned(open[0], upload.now_s)));
    value_of(upload.catalog->abandon_upload(open[0].id, upload.now_s + 120, upload.now_s + 600));
    CHECK(value_of(upload.catalog->open_uploads()).size() == 1);
    CHECK(upload.clean(upload.now_s) == 1);
    CHECK(value_of(upload.catalog->open_uploads()).empty());
}

namespace {

// An upload by a session of seven bytes that has begun.
struct UploadBySession : test::MoveBench {
    UploadBySession() {
        const PoolRoom room{.pool = ids["hot"], .max_bytes = 10};
        value_of(catalog->reserve_upload(session, {&room, 1}, {}, now_s));
        upload = session;
        upload.pool = ids["hot"];
        upload.image = parse_uuid(kUuid);
        upload.key = kOriginal;
        upload.process = "p";
        id = begin().id;
    }
    UploadRecord begin() {
        const auto begun = value_of(catalog->begin_upload(upload));
        REQUIRE(begun);
        return *begun;
    }
    std::uint64_t reserved() { return value_of(catalog->owner_use("7", now_s)).reserved_bytes; }

    const UploadRecord session{.owner = "7",
                               .bytes = 7,
                               .token = conf::sha256("token"),
                               .details = "{\"app\":1}",
                               .expires_s = now_s + 60};
    UploadRecord upload;
    UploadId id = 0;
};

}  // namespace

TEST_CASE("abandoned uploads: what was a session's becomes that again", "[abandoned_uploads]") {
    UploadBySession by;
    value_of(by.catalog->give_back_upload(by.id, by.now_s + 60));
    CHECK(value_of(by.catalog->has_session(*by.session.token)));
    CHECK(by.begin().details == by.session.details);
    CHECK(by.reserved() == 7);
    value_of(by.catalog->give_back_upload(by.id, 0));
    CHECK(by.reserved() == 0);
}

TEST_CASE("abandoned uploads: one that is given up leaves its session to the next try",
          "[abandoned_uploads]") {
    UploadBySession by;
    value_of(by.catalog->abandon_upload(by.id, by.now_s + 120, by.now_s + 60));
    CHECK(by.reserved() == 7);
    CHECK(value_of(by.catalog->reserved_bytes(by.ids["hot"], by.now_s)) == 7);
    // Where its bytes may lie is known all the same.
    const auto left = value_of(by.catalog->open_uploads());
    REQUIRE(left.size() == 1);
    CHECK(left[0].key == kOriginal);
    CHECK(left[0].image == by.upload.image);
    CHECK(left[0].expires_s == by.now_s + 120);
    CHECK(left[0].bytes == 0);

    by.upload.expires_s = by.now_s + 600;
    by.upload.image = parse_uuid("0b1f6c2e-9a7d-4c55-8a3e-000000000009");
    by.upload.key = "uploads/original/2026/02/25/0b1f6c2e-9a7d-4c55-8a3e-000000000009.jpg";
    const UploadRecord again = by.begin();
    CHECK(again.details == by.session.details);
    CHECK(again.bytes == 7);
    CHECK(by.reserved() == 7);
    // Cleaning up behind the first does not touch the second.
    CHECK(value_of(clean_abandoned_uploads(*by.catalog, by.drivers, by.now_s + 120)) == 1);
    CHECK(value_of(by.catalog->is_being_uploaded(*by.upload.image)));
    CHECK(by.reserved() == 7);
}
