// The catalog against pools in memory that hold something else.
#include "storage/reconcile.h"

#include "storage/job_keys.h"
#include "storage/mover.h"
#include "storage/reconcile_job.h"
#include "storage/reconcile_pool_job.h"
#include "tests/support/catalog_backends.h"
#include "tests/support/fake_driver.h"
#include "tests/support/shared_driver.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::FakeDriver;
using test::make_object;
using test::value_of;

namespace {

const std::string kUuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";
const std::string kOriginal = "uploads/original/2026/02/25/" + kUuid + ".jpg";
const std::string kVariant = "uploads/variants/2026/02/25/" + kUuid + ".webp";
constexpr std::int64_t kOld = 1'700'000'000;
constexpr std::int64_t kNow = 1'800'000'000;

// A pool that also keeps versions and half uploads.
class Store final : public FakeDriver {
  public:
    using FakeDriver::FakeDriver;

    std::vector<StoredVersion> versions;  // in the store's order
    Strays strays;

    Result<VersionPage> list_versions(std::string_view prefix, const std::string& next) override {
        // A page holds one, so that every group is spread over pages.
        const std::size_t index = next.empty() ? 0 : std::stoul(next);
        VersionPage page;
        for (std::size_t i = index; i < versions.size(); ++i) {
            if (!versions[i].key.starts_with(prefix)) continue;
            page.versions.push_back(versions[i]);
            if (i + 1 < versions.size()) page.next = std::to_string(i + 1);
            break;
        }
        return page;
    }
    Result<void> remove_version(std::string_view key, std::string_view version_id) override {
        std::erase_if(versions, [&](const StoredVersion& each) {
            return each.key == key && each.version_id == version_id;
        });
        return {};
    }
    Result<void> remove_older_versions(std::string_view key, std::string_view) override {
        std::erase_if(versions, [&](const StoredVersion& each) {
            return each.key == key && !each.is_latest;
        });
        return {};
    }
    Result<Strays> sweep_strays(std::int64_t, bool only_count) override {
        return only_count ? strays : std::exchange(strays, {});
    }
};

struct Bench {
    Bench() {
        std::vector<KnownPool> all{pool("hot", conf::PoolSettings::Type::local),
                                   pool("cold", conf::PoolSettings::Type::s3),
                                   pool("backup", conf::PoolSettings::Type::s3)};
        all.back().settings.is_backup_target = true;
        drivers.use_pools(std::move(all));
    }

    KnownPool pool(const std::string& name, conf::PoolSettings::Type type) {
        KnownPool known;
        known.settings.name = name;
        known.settings.storage_type = type;
        known.id = test::make_pool(*catalog, name);
        ids[name] = known.id;
        stores.emplace(name, std::make_unique<Store>(name));
        return known;
    }
    Store& store(const std::string& name) { return *stores.at(name); }

    ObjectRecord row(const std::string& key, const std::string& content,
                     const std::string& where = "hot") {
        ObjectRecord row = make_object(key, ids[where], content.size());
        row.sha256 = conf::sha256(content);
        row.store_etag = conf::hex(*row.sha256).substr(0, 32);
        value_of(catalog->put_object(row));
        return row;
    }
    ObjectRecord place(const std::string& key, const std::string& content,
                       const std::string& where = "hot") {
        store(where).place(key, content, kOld);
        return row(key, content, where);
    }
    void backup(const ObjectRecord& of, const std::string& content) {
        store("backup").place("images/" + of.key, content, kOld);
        BackupRecord record;
        record.pool = ids["backup"];
        record.key = "images/" + of.key;
        record.original = of.key;
        record.size = content.size();
        record.sha256 = conf::sha256(content);
        value_of(catalog->put_backup(record));
    }
    // What nobody minds: so many objects with their rows.
    void fill(int count, const std::string& where = "hot") {
        for (int i = 0; i < count; ++i)
            place("uploads/fill/" + std::to_string(i) + ".jpg", "content", where);
    }

    ReconcileResult run(const std::string& name, bool repair, bool deep = false) {
        ReconcileOptions options;
        options.now_s = kNow;
        options.repair = repair;
        options.deep = deep;
        options.max_change_percent = max_change;
        options.changed = [this](const std::vector<std::string>& keys) {
            told.insert(told.end(), keys.begin(), keys.end());
        };
        options.ended = [this](const Finding& finding, const RepairEnd& end) {
            ends[finding.key] = end.what;
        };
        auto result = value_of(reconcile_pool(*catalog, drivers, ids[name], options));
        test::check_accounts(*catalog);
        return result;
    }
    // All that a dry run, and one that repairs, and one after that must do with one finding.
    void expect(const std::string& name, FindingKind kind, bool deep = false) {
        const auto before = state();
        const ReconcileResult dry = run(name, false, deep);
        CHECK(dry.counts.found() == 1);
        CHECK(dry.counts.of(kind).found == 1);
        CHECK_FALSE(dry.all_well());
        CHECK(state() == before);
        const ReconcileResult real = run(name, true, deep);
        CHECK(real.counts.of(kind).found == 1);
        CHECK(real.counts.of(kind).repaired == 1);
        CHECK(real.all_well());
        const ReconcileResult again = run(name, true, deep);
        CHECK(again.counts.found() == 0);
        CHECK(again.all_well());
    }
    // A finding that no repair can end; nothing changes.
    void expect_stays(const std::string& name, FindingKind kind) {
        const auto before = state();
        const ReconcileResult real = run(name, true);
        CHECK(real.counts.of(kind).found == 1);
        CHECK(real.counts.repaired() == 0);
        CHECK_FALSE(real.all_well());
        CHECK(state() == before);
    }
    std::vector<std::string> state() {
        std::vector<std::string> all;
        for (const ObjectRecord& row : value_of(catalog->list(std::nullopt, "", "", 1000)))
            all.push_back("row " + row.key + " " + std::to_string(row.pool) + " " +
                          std::to_string(row.size));
        for (const auto& [name, store] : stores) {
            for (const ObjectInfo& info : value_of(store->list("", "", 1000)).objects)
                all.push_back(name + " " + info.key + " " + info.etag);
        }
        return all;
    }
    std::optional<PoolId> home(const std::string& key) {
        const auto row = value_of(catalog->find(key));
        return row ? std::optional(row->pool) : std::nullopt;
    }
    std::string aside(const std::string& key, const std::string& content) {
        ObjectInfo info;
        info.modified_s = kOld;
        info.size = content.size();
        return "quarantine/" + set_aside_name(key, info);
    }

    test::SqliteBackend backend;
    std::unique_ptr<Catalog> catalog = backend.open();
    std::map<std::string, PoolId> ids;
    std::map<std::string, std::unique_ptr<Store>> stores;
    DriverSet drivers{*catalog, "uploads/", [this](const conf::PoolSettings& settings) {
                          return std::make_unique<test::SharedDriver>(store(settings.name));
                      }};
    unsigned max_change = 5;
    std::vector<std::string> told;
    std::map<std::string, std::string> ends;
};

// Runs one job of the type with the handler, as the runner would.
JobEnd do_job(Bench& bench, const std::string& key, const std::string& pool,
              std::int64_t grace_s = 3600) {
    const NewJob job{.type = "reconcile",
                     .payload = R"({"key":")" + key + R"(","pool":")" + pool + R"("})"};
    value_of(bench.catalog->queue_job(job, kNow));
    const Catalog::LaneWant want{.lane = "reconcile"};
    const auto taken = value_of(bench.catalog->take_jobs({&want, 1}, "me", kNow, 1000));
    REQUIRE(taken.size() == 1);
    JobRun run(taken.front(), std::time(nullptr) + 1000);
    ReconcileJobs jobs(*bench.catalog, bench.drivers, {}, grace_s);
    JobEnd end = jobs.reconcile(run);
    value_of(bench.catalog->finish_job(taken.front().id, "me", kNow));
    return end;
}

StoredVersion version(const std::string& key, const std::string& id, std::uint64_t size,
                      bool is_latest = false, bool is_marker = false) {
    return {.key = key,
            .version_id = id,
            .is_marker = is_marker,
            .is_latest = is_latest,
            .size = size,
            .modified_s = kOld};
}

}  // namespace

TEST_CASE("reconcile: rows and objects are compared by what both say", "[storage][reconcile]") {
    ObjectRecord row = make_object(kOriginal, 1, 5);
    ObjectInfo object{.key = kOriginal, .size = 5};
    CHECK(compare(row, object) == Match::same);
    object.size = 6;
    CHECK(compare(row, object) == Match::wrong_size);
    object.size = 5;
    row.store_etag = "one";
    CHECK(compare(row, object) == Match::same);
    object.etag = "one";
    CHECK(compare(row, object) == Match::same);
    object.etag = "other";
    CHECK(compare(row, object) == Match::unsure);
    row.sha256 = object.sha256 = conf::sha256("a");
    CHECK(compare(row, object) == Match::stale_row);
    object.etag = "one";
    row.version_id = "1";
    CHECK(compare(row, object) == Match::same);
    object.version_id = "2";
    CHECK(compare(row, object) == Match::stale_row);
    object.sha256 = conf::sha256("b");
    CHECK(compare(row, object) == Match::wrong_hash);
}

TEST_CASE("reconcile: what agrees is well, and no store is asked for one object",
          "[storage][reconcile]") {
    Bench bench;
    bench.fill(2500);
    bench.place(kOriginal, "original");
    bench.place(kVariant, "variant");
    bench.store("hot").set_fault([](FakeDriver::Call call, std::string_view) {
        if (call == FakeDriver::Call::list) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "must not be asked"});
    });
    const ReconcileResult result = bench.run("hot", true);
    CHECK(result.all_well());
    CHECK(result.counts.compared == 2502);
    CHECK(result.counts.bytes == 2500 * 7 + 8 + 7);
    CHECK(bench.run("cold", true).all_well());
}

TEST_CASE("reconcile: a missing variant loses its row", "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.row(kVariant, "variant");
    bench.expect("hot", FindingKind::missing_object);
    CHECK_FALSE(bench.home(kVariant));
    CHECK(bench.home(kOriginal));
    CHECK(bench.told == std::vector{kVariant});
}

TEST_CASE("reconcile: a missing original is restored from its backup", "[storage][reconcile]") {
    Bench bench;
    bench.backup(bench.row(kOriginal, "original", "cold"), "original");
    bench.expect("cold", FindingKind::missing_object);
    CHECK(bench.store("cold").content(kOriginal) == "original");
    CHECK(bench.store("backup").size() == 1);
    const auto row = value_of(bench.catalog->find(kOriginal));
    CHECK(row->sha256 == conf::sha256("original"));
    CHECK(row->modified_s == 1'700'000'000);
}

TEST_CASE("reconcile: without a good backup a missing original is lost, and keeps its row",
          "[storage][reconcile]") {
    Bench bench;
    const ObjectRecord row = bench.row(kOriginal, "original");
    bench.expect_stays("hot", FindingKind::missing_object);
    CHECK_THAT(bench.ends[kOriginal], Catch::Contains("LOST"));
    bench.backup(row, "another content");
    bench.expect_stays("hot", FindingKind::missing_object);
    bench.backup(row, "original");
    bench.store("backup").place("images/" + kOriginal, "0riginal", kOld);  // it has rotted
    bench.expect_stays("hot", FindingKind::missing_object);
    bench.store("backup").place("images/" + kOriginal, "original", kOld);
    bench.expect("hot", FindingKind::missing_object);
}

TEST_CASE("reconcile: a missing object that another pool has is found there",
          "[storage][reconcile]") {
    Bench bench;
    bench.row(kOriginal, "original", "hot");
    bench.store("cold").place(kOriginal, "original", kOld);
    bench.expect("hot", FindingKind::missing_object);
    CHECK(bench.home(kOriginal) == bench.ids["cold"]);
    CHECK(bench.run("cold", true).all_well());
}

TEST_CASE("reconcile: an object without a row is taken in, and never removed",
          "[storage][reconcile]") {
    for (const char* where : {"hot", "cold"}) {
        CAPTURE(where);
        Bench bench;
        bench.store(where).place(kOriginal, "original", kOld);
        bench.expect(where, FindingKind::unknown_object);
        CHECK(bench.home(kOriginal) == bench.ids[where]);
        CHECK(bench.store(where).content(kOriginal) == "original");
    }
}

TEST_CASE("reconcile: what is left of a deleted image is set aside", "[storage][reconcile]") {
    Bench bench;
    bench.store("cold").place(kOriginal, "original", kOld);
    const Uuid image = *parse_uuid(kUuid);
    const JobId job = value_of(bench.catalog->begin_deletion(
        image, {.type = "delete", .payload = "{}", .dedup_key = "delete " + kUuid}, kNow));
    CHECK(bench.run("cold", true).counts.pending == 1);
    const Catalog::LaneWant want{.lane = "delete"};
    value_of(bench.catalog->take_jobs({&want, 1}, "me", kNow, 10));
    value_of(bench.catalog->finish_job(job, "me", kNow));
    value_of(bench.catalog->end_deletion(image));
    bench.expect("cold", FindingKind::unknown_object);
    CHECK_FALSE(bench.home(kOriginal));
    CHECK(bench.store("cold").content(bench.aside(kOriginal, "original")) == "original");
}

TEST_CASE("reconcile: a leftover is set aside once its home is proved to have it",
          "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original", "cold");
    bench.store("hot").place(kOriginal, "original", kOld);
    bench.expect("hot", FindingKind::elsewhere);
    CHECK_FALSE(bench.store("hot").content(kOriginal));
    CHECK(bench.store("hot").content(bench.aside(kOriginal, "original")) == "original");
    CHECK(bench.store("cold").content(kOriginal) == "original");
    CHECK(bench.run("hot", false).counts.left_out == 1);
    CHECK(value_of(bench.catalog->list_jobs({.state = JobRecord::State::running}, 10)).empty());
}

TEST_CASE("reconcile: where the home has no good copy the row follows the one that is good",
          "[storage][reconcile]") {
    Bench bench;
    bench.row(kOriginal, "original", "cold");
    bench.store("hot").place(kOriginal, "original", kOld);
    SECTION("none at all") {}
    SECTION("a broken one") {
        bench.store("cold").place(kOriginal, "0riginal", kOld);
    }
    const ReconcileResult result = bench.run("hot", true);
    CHECK(result.counts.of(FindingKind::elsewhere).repaired == 1);
    CHECK(bench.home(kOriginal) == bench.ids["hot"]);
    CHECK(bench.run("hot", true).all_well());
    CHECK(bench.run("cold", true).all_well());
    CHECK(bench.run("cold", true).counts.found() == 0);
    CHECK(bench.store("hot").content(kOriginal) == "original");
}

TEST_CASE("reconcile: where neither copy is good, or the home cannot be asked, nothing changes",
          "[storage][reconcile]") {
    Bench bench;
    bench.row(kOriginal, "original", "cold");
    bench.store("cold").place(kOriginal, "0riginal", kOld);
    bench.store("hot").place(kOriginal, "originaI", kOld);
    bench.expect_stays("hot", FindingKind::elsewhere);
    bench.store("hot").place(kOriginal, "original", kOld);
    bench.store("cold").set_fault([](FakeDriver::Call call, std::string_view) {
        if (call == FakeDriver::Call::list) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::timed_out, "told to"});
    });
    bench.expect_stays("hot", FindingKind::elsewhere);
}

TEST_CASE("reconcile: what an open job is at work on is left alone", "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original", "cold");
    bench.store("hot").place(kOriginal, "original", kOld);
    SECTION("a clean") {
        value_of(bench.catalog->queue_job(
            {.type = "clean", .payload = "{}", .dedup_key = clean_key(bench.ids["hot"], kUuid)},
            kNow));
    }
    SECTION("a move") {
        const NewJob job =
            move_job({.image = parse_uuid(kUuid), .key = {}, .to = bench.ids["hot"]}, 1, 1, "");
        value_of(bench.catalog->queue_job(job, kNow));
    }
    const auto before = bench.state();
    const ReconcileResult result = bench.run("hot", true);
    CHECK(result.all_well());
    CHECK(result.counts.pending == 1);
    CHECK(bench.state() == before);
}

TEST_CASE("reconcile: a variant of a wrong size or content is set aside and forgotten",
          "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original");
    bench.row(kVariant, "variant");
    SECTION("size") {
        bench.store("hot").place(kVariant, "variants", kOld);
        bench.expect("hot", FindingKind::wrong_size);
        CHECK(bench.store("hot").content(bench.aside(kVariant, "variants")));
    }
    SECTION("content") {
        bench.store("hot").place(kVariant, "Variant", kOld);
        bench.expect("hot", FindingKind::wrong_hash);
        CHECK(bench.store("hot").content(bench.aside(kVariant, "Variant")));
    }
    CHECK_FALSE(bench.home(kVariant));
    CHECK_FALSE(bench.store("hot").content(kVariant));
}

TEST_CASE("reconcile: a wrong original is restored, or stays as it is", "[storage][reconcile]") {
    Bench bench;
    const ObjectRecord row = bench.row(kOriginal, "original");
    bench.store("hot").place(kOriginal, "orig", kOld);
    bench.expect_stays("hot", FindingKind::wrong_size);
    bench.store("hot").place(kOriginal, "0riginal", kOld);
    bench.expect_stays("hot", FindingKind::wrong_hash);
    bench.backup(row, "original");
    bench.expect("hot", FindingKind::wrong_hash);
    CHECK(bench.store("hot").content(kOriginal) == "original");
    CHECK(bench.store("hot").content(bench.aside(kOriginal, "0riginal")) == "0riginal");
}

TEST_CASE("reconcile: deep finds what only the content shows, and learns digests",
          "[storage][reconcile]") {
    Bench bench;
    ObjectRecord row = bench.place(kVariant, "variant");
    row.store_etag.clear();  // as of a file
    row.sha256.reset();
    value_of(bench.catalog->put_object(row));
    CHECK(bench.run("hot", false, true).all_well());
    CHECK_FALSE(value_of(bench.catalog->find(kVariant))->sha256);
    CHECK(bench.run("hot", true, true).all_well());
    CHECK(value_of(bench.catalog->find(kVariant))->sha256 == conf::sha256("variant"));
    bench.store("hot").place(kVariant, "Variant", kOld);
    CHECK(bench.run("hot", false).all_well());
    bench.expect("hot", FindingKind::wrong_hash, true);
}

TEST_CASE("reconcile: contents that cannot be read are counted, and too many end it",
          "[storage][reconcile]") {
    Bench bench;
    bench.fill(150);
    int left = 3;
    bench.store("hot").set_fault([&](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::get || left-- <= 0) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "told to"});
    });
    const ReconcileResult result = bench.run("hot", true, true);
    CHECK(result.counts.unreadable == 3);
    CHECK_FALSE(result.all_well());
    left = 1000;
    ReconcileOptions options{.deep = true, .now_s = kNow};
    const auto broken = reconcile_pool(*bench.catalog, bench.drivers, bench.ids["hot"], options);
    REQUIRE_FALSE(broken);
    CHECK(broken.error().kind == ErrorKind::io);
}

TEST_CASE("reconcile: a row with another ETag of the same content is brought up to date",
          "[storage][reconcile]") {
    Bench bench;
    ObjectRecord row = bench.place(kOriginal, "original");
    const std::string etag = std::exchange(row.store_etag, "in-parts-7");
    value_of(bench.catalog->put_object(row));
    bench.expect("hot", FindingKind::stale_row);
    const auto now = value_of(bench.catalog->find(kOriginal));
    CHECK(now->store_etag == etag);
    CHECK(now->sha256 == row.sha256);
    CHECK(now->modified_s == row.modified_s);
}

TEST_CASE("reconcile: a late variant follows its image", "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original", "cold");
    SECTION("with a row") {
        bench.place(kVariant, "variant", "hot");
    }
    SECTION("without") {
        bench.store("hot").place(kVariant, "variant", kOld);
    }
    CHECK(bench.run("hot", false).counts.of(FindingKind::late_variant).found == 1);
    CHECK(value_of(bench.catalog->list_jobs({}, 10)).empty());
    CHECK(bench.run("hot", true).all_well());
    const auto jobs = value_of(bench.catalog->list_jobs({.type = "move"}, 10));
    REQUIRE(jobs.size() == 1);
    CHECK(value_of(target_of(jobs[0])).to == bench.ids["cold"]);
    CHECK(bench.run("hot", true).counts.pending == 1);
    const Catalog::LaneWant want{.lane = jobs[0].lane};
    JobRun run(value_of(bench.catalog->take_jobs({&want, 1}, "me", kNow, 1000)).at(0),
               std::time(nullptr) + 1000);
    Mover mover(*bench.catalog, bench.drivers, {.grace_s = 0});
    const JobEnd end = mover.move(run);
    REQUIRE(end.kind == JobEnd::Kind::relocates);
    CHECK_FALSE(end.then(bench.catalog->relocate(*end.relocation)));
    CHECK(bench.home(kVariant) == bench.ids["cold"]);
    CHECK(bench.store("cold").content(kVariant) == "variant");
}

TEST_CASE("reconcile: hidden versions go when the newest is what the row says",
          "[storage][reconcile]") {
    Bench bench;
    ObjectRecord row = bench.place(kOriginal, "original", "cold");
    Store& cold = bench.store("cold");
    cold.versions = {version(kOriginal, "3", 8, true), version(kOriginal, "2", 8),
                     version(kOriginal, "1", 0, false, true)};
    // FakeDriver names no versions, so there is none that could be kept for certain.
    bench.expect_stays("cold", FindingKind::hidden_version);
    CHECK(cold.versions.size() == 3);
    CHECK(bench.run("cold", false).counts.of(FindingKind::hidden_version).bytes == 8);
}

TEST_CASE("reconcile: hidden content that no row names stays, that of a deleted image goes",
          "[storage][reconcile]") {
    Bench bench;
    Store& cold = bench.store("cold");
    cold.versions = {version(kOriginal, "2", 0, true, true), version(kOriginal, "1", 8)};
    bench.expect_stays("cold", FindingKind::hidden_version);
    CHECK(cold.versions.size() == 2);
    cold.versions = {version(kOriginal, "2", 0, true, true)};
    bench.expect("cold", FindingKind::hidden_version);  // a marker over nothing
    CHECK(cold.versions.empty());
}

TEST_CASE("reconcile: an object that only markers hide comes back", "[storage][reconcile]") {
    Bench bench;
    bench.row(kOriginal, "original", "cold");
    Store& cold = bench.store("cold");
    cold.versions = {version(kOriginal, "3", 0, true, true), version(kOriginal, "2", 8),
                     version(kOriginal, "1", 7)};
    const ReconcileResult result = bench.run("cold", true);
    CHECK(result.counts.of(FindingKind::missing_object).repaired == 1);
    CHECK(cold.versions.size() == 2);
    CHECK(bench.told == std::vector{kOriginal});
}

TEST_CASE("reconcile: stray uploads and temporary files are counted, and swept on repair",
          "[storage][reconcile]") {
    Bench bench;
    bench.store("hot").strays = {.uploads = 0, .temporaries = 7};
    CHECK(bench.run("hot", false).counts.of(FindingKind::stray_temporary).found == 7);
    CHECK(bench.store("hot").strays.temporaries == 7);
    CHECK(bench.run("hot", true).all_well());
    CHECK(bench.store("hot").strays.temporaries == 0);
    bench.store("cold").strays = {.uploads = 30, .temporaries = 0};
    CHECK(bench.run("cold", true).counts.of(FindingKind::stray_upload).repaired == 30);
    CHECK(bench.run("cold", true).counts.found() == 0);
}

TEST_CASE("reconcile: young objects are left alone", "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original", "cold");
    bench.row(kVariant, "variant");
    bench.store("hot").place(kOriginal, "original", kNow - 3599);
    bench.store("hot").place(kVariant, "wrong", kNow - 10);
    bench.store("hot").place("uploads/new.jpg", "new", kNow + 10);
    const auto before = bench.state();
    const ReconcileResult result = bench.run("hot", true);
    CHECK(result.all_well());
    CHECK(result.counts.young == 3);
    CHECK(bench.state() == before);
}

TEST_CASE("reconcile: where too much would change nothing does", "[storage][reconcile]") {
    Bench bench;
    bench.fill(600);
    for (int i = 0; i < 31; ++i)
        value_of(bench.store("hot").remove("uploads/fill/" + std::to_string(i) + ".jpg"));
    bench.store("hot").place("uploads/new.jpg", "new", kOld);
    bench.store("hot").strays.temporaries = 1;
    const auto before = bench.state();
    const ReconcileResult stopped = bench.run("hot", true);
    CHECK(stopped.is_too_much);
    CHECK_FALSE(stopped.all_well());
    CHECK(stopped.counts.repaired() == 0);
    CHECK(bench.state() == before);
    CHECK(bench.store("hot").strays.temporaries == 1);
    bench.max_change = 6;
    const ReconcileResult allowed = bench.run("hot", true);
    CHECK_FALSE(allowed.is_too_much);
    CHECK(allowed.counts.of(FindingKind::unknown_object).repaired == 1);
}

TEST_CASE("reconcile: a few changes are always allowed", "[storage][reconcile]") {
    Bench bench;
    bench.max_change = 0;
    for (int i = 0; i < static_cast<int>(kFewChanges); ++i)
        bench.store("hot").place("uploads/" + std::to_string(i) + ".jpg", "new", kOld);
    CHECK(bench.run("hot", true).all_well());
    bench.fill(static_cast<int>(kFewChanges) + 1);
    CHECK(bench.run("hot", true).all_well());
    for (int i = 0; i <= static_cast<int>(kFewChanges); ++i)
        value_of(bench.store("hot").remove("uploads/fill/" + std::to_string(i) + ".jpg"));
    CHECK(bench.run("hot", true).is_too_much);
}

TEST_CASE("reconcile: a pool that cannot be listed is an error, and not empty",
          "[storage][reconcile]") {
    Bench bench;
    bench.fill(10);
    bench.store("hot").set_fault([](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::list) return std::optional<Error>();
        return std::optional<Error>({ErrorKind::io, "told to"});
    });
    ReconcileOptions options{.repair = true, .now_s = kNow};
    CHECK_FALSE(reconcile_pool(*bench.catalog, bench.drivers, bench.ids["hot"], options));
    CHECK(value_of(bench.catalog->list(bench.ids["hot"], "", "", 100)).size() == 10);
}

TEST_CASE("reconcile: what comes while it runs is not taken for missing or unknown",
          "[storage][reconcile]") {
    Bench bench;
    bench.fill(1500);
    bool has_come = false;
    ReconcileOptions options{.repair = true, .now_s = kNow};
    options.report = [&](const ReconcileCounts&) {
        if (!std::exchange(has_come, true)) {
            bench.place("uploads/z.jpg", "new");
            bench.place("uploads/a.jpg", "new");
        }
        return true;
    };
    const auto result =
        value_of(reconcile_pool(*bench.catalog, bench.drivers, bench.ids["hot"], options));
    CHECK(result.counts.found() == 0);
}

TEST_CASE("reconcile: one that is ended early repairs nothing", "[storage][reconcile]") {
    Bench bench;
    bench.fill(1500);
    value_of(bench.store("hot").remove("uploads/fill/1.jpg"));
    ReconcileOptions options{.repair = true, .now_s = kNow};
    options.report = [](const ReconcileCounts&) { return false; };
    const auto result =
        value_of(reconcile_pool(*bench.catalog, bench.drivers, bench.ids["hot"], options));
    CHECK_FALSE(result.is_complete);
    CHECK_FALSE(result.all_well());
}

TEST_CASE("reconcile: a job looks at one key by the same rules", "[storage][reconcile]") {
    Bench bench;
    bench.row(kVariant, "variant");
    CHECK(do_job(bench, kVariant, "hot").kind == JobEnd::Kind::done);
    CHECK_FALSE(bench.home(kVariant));
    CHECK(do_job(bench, kVariant, "hot").kind == JobEnd::Kind::done);  // invariant 4
    bench.row(kOriginal, "original");
    const JobEnd lost = do_job(bench, kOriginal, "hot");
    CHECK(lost.kind == JobEnd::Kind::failed);
    CHECK_THAT(lost.error->text, Catch::Contains("LOST"));
    CHECK_FALSE(lost.error->may_retry());
    bench.store("hot").place(kOriginal, "wrong", std::time(nullptr));
    const JobEnd young = do_job(bench, kOriginal, "hot");
    CHECK(young.kind == JobEnd::Kind::put_off);
    CHECK(young.seconds > 3000);
    CHECK(do_job(bench, kOriginal, "no such pool").kind == JobEnd::Kind::done);
    bench.place(kVariant, "variant", "cold");
    bench.store("hot").place(kVariant, "variant", kOld);
    CHECK(do_job(bench, kVariant, "hot").kind == JobEnd::Kind::done);
    CHECK_FALSE(bench.store("hot").content(kVariant));
}

TEST_CASE("reconcile: while a leftover is looked at no move can bring the image back",
          "[storage][reconcile]") {
    Bench bench;
    bench.place(kOriginal, "original", "cold");
    bench.store("hot").place(kOriginal, "original", kOld);
    Mover mover(*bench.catalog, bench.drivers, {.grace_s = 0});
    const NewJob job =
        move_job({.image = parse_uuid(kUuid), .key = {}, .to = bench.ids["hot"]}, 1, 1, "");
    std::optional<JobEnd> end;
    bench.store("hot").set_fault([&](FakeDriver::Call call, std::string_view) {
        if (call != FakeDriver::Call::remove || end) return std::optional<Error>();
        value_of(bench.catalog->queue_job(job, kNow));
        const Catalog::LaneWant want{.lane = job.lane};
        JobRun run(value_of(bench.catalog->take_jobs({&want, 1}, "mover", kNow, 1000)).at(0),
                   std::time(nullptr) + 1000);
        end = mover.move(run);
        return std::optional<Error>();
    });
    CHECK(bench.run("hot", true).all_well());
    REQUIRE(end);
    CHECK(end->kind == JobEnd::Kind::put_off);
    CHECK(bench.home(kOriginal) == bench.ids["cold"]);
    CHECK(bench.store("cold").content(kOriginal) == "original");
}

namespace {

// Queues it, and does it as the runner would; the job as it is after that.
JobRecord do_pool_job(Bench& bench, const PoolReconcileWish& wish, JobEnd& end,
                      bool is_cancelled = false) {
    const NewJob job = pool_reconcile_job(wish, "hot", "");
    const JobId id = value_of(bench.catalog->queue_job(job, kNow));
    const Catalog::LaneWant want{.lane = job.lane};
    const auto taken = value_of(bench.catalog->take_jobs({&want, 1}, "me", kNow, 1000));
    REQUIRE(taken.size() == 1);
    CHECK(value_of(pool_reconcile_wish(taken.front())) == wish);
    JobRun run(taken.front(), is_cancelled ? 0 : std::time(nullptr) + 1000);
    PoolReconcileJobs jobs(*bench.catalog, bench.drivers, {});
    end = jobs.reconcile(run);
    const JobRecord after = value_of(bench.catalog->find_job(id)).value();
    value_of(bench.catalog->finish_job(id, "me", kNow));
    return after;
}

}  // namespace

TEST_CASE("reconcile: a pool's job says in its progress what was found", "[storage][reconcile]") {
    Bench bench;
    bench.fill(3);
    bench.row(kVariant, "variant");
    JobEnd end;
    const PoolReconcileWish look{.pool = bench.ids["hot"]};
    std::string progress = do_pool_job(bench, look, end).progress;
    CHECK(end.kind == JobEnd::Kind::done);
    CHECK(progress.find(R"("missing_object":{"found":1,)") != std::string::npos);
    CHECK(progress.find(R"("compared":4,)") != std::string::npos);
    CHECK(progress.find(R"("all_well":false)") != std::string::npos);
    CHECK(bench.home(kVariant));
    progress =
        do_pool_job(bench, {.pool = bench.ids["hot"], .repair = true, .deep = true}, end).progress;
    CHECK(progress.find(R"("repaired":1)") != std::string::npos);
    CHECK(progress.find(R"("all_well":true)") != std::string::npos);
    CHECK_FALSE(bench.home(kVariant));
}

TEST_CASE("reconcile: a pool's job fails where too much would change", "[storage][reconcile]") {
    Bench bench;
    for (int i = 0; i < 30; ++i)
        bench.row("uploads/variants/lost/" + std::to_string(i) + "_small.jpg", "content");
    JobEnd end;
    const PoolReconcileWish wish{
        .pool = bench.ids["hot"], .repair = true, .max_change_percent = 10};
    const JobRecord job = do_pool_job(bench, wish, end);
    CHECK(end.kind == JobEnd::Kind::failed);
    CHECK(end.error.value().kind == ErrorKind::conflict);
    CHECK(job.progress.find(R"("too_much":true)") != std::string::npos);
    do_pool_job(bench, {.pool = bench.ids["hot"], .repair = true, .max_change_percent = 100}, end);
    CHECK(end.kind == JobEnd::Kind::done);
}

TEST_CASE("reconcile: a pool's job whose lease is over begins anew", "[storage][reconcile]") {
    Bench bench;
    bench.fill(3);
    JobEnd end;
    do_pool_job(bench, {.pool = bench.ids["hot"]}, end, true);
    CHECK(end.kind == JobEnd::Kind::interrupted);
    do_pool_job(bench, {.pool = 99}, end);
    CHECK(end.kind == JobEnd::Kind::failed);
}
