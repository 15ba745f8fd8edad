// Pools in memory that fail when told to, a catalog, and a mover between them: for tests of what
// moves and copies images.
#pragma once

#include "storage/job_runner.h"
#include "storage/mover.h"
#include "tests/support/catalog_backends.h"
#include "tests/support/fake_driver.h"
#include "tests/support/shared_driver.h"

#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace tidepool::test {

using namespace storage;

inline const std::string kUuid = "0b1f6c2e-9a7d-4c55-8a3e-1234567890ab";
inline const std::string kOriginal = "uploads/original/2026/02/25/" + kUuid + ".jpg";
inline const std::string kVariant = "uploads/variants/2026/02/25/" + kUuid + ".webp";

struct MoveBench {
    MoveBench() {
        drivers.use_pools({pool("hot", conf::PoolSettings::Type::local),
                           pool("cold", conf::PoolSettings::Type::s3)});
    }

    KnownPool pool(const std::string& name, conf::PoolSettings::Type type) {
        KnownPool known;
        known.settings.name = name;
        known.settings.storage_type = type;
        known.id = make_pool(*catalog, name);
        ids[name] = known.id;
        stores.emplace(name, std::make_unique<FakeDriver>(name));
        return known;
    }

    ObjectRecord place(const std::string& key, const std::string& content,
                       const std::string& where = "hot") {
        store(where).place(key, content, 1'700'000'000);
        ObjectRecord row = make_object(key, ids[where], content.size());
        row.sha256 = conf::sha256(content);
        value_of(catalog->put_object(row));
        return row;
    }

    FakeDriver& store(const std::string& name) { return *stores.at(name); }

    // Queues a move of the image, and takes it.
    JobRun begin(const std::string& to, const std::string& lane = "move") {
        NewJob job = move_job({.image = parse_uuid(kUuid), .key = {}, .to = ids[to]}, 1, 100, "b");
        job.lane = lane;
        value_of(catalog->queue_job(job, now_s));
        return take(lane);
    }
    JobRun take(const std::string& lane) {
        const Catalog::LaneWant want{.lane = lane};
        // Later than whatever was queued in the meantime.
        auto jobs = value_of(catalog->take_jobs({&want, 1}, "me", now_s + 60, 1000));
        REQUIRE(jobs.size() == 1);
        return {jobs.front(), now_s + 1000};
    }
    // As a runner would have it, which takes it again while the image changes meanwhile.
    JobEnd move(JobRun& run) {
        constexpr int kMostRounds = 5;
        for (int round = 0; round < kMostRounds; ++round) {
            JobEnd end = mover.move(run);
            if (end.kind != JobEnd::Kind::relocates) return end;
            auto instead = end.then(catalog->relocate(*end.relocation));
            if (!instead) return JobEnd::done();
            if (instead->kind != JobEnd::Kind::interrupted) return *instead;
        }
        return JobEnd::interrupted();
    }
    JobEnd clean(JobRun& run) { return mover.clean(run); }
    // Ends an attempt as a runner would, now and for good or not.
    void fail(const JobRun& run, bool is_retried) {
        JobFailure failure{.error_class = "io", .text = "x"};
        if (is_retried) failure.retry_at_s = now_s;
        value_of(catalog->fail_job(run.job().id, "me", failure, now_s));
    }
    std::vector<JobRecord> cleans() { return value_of(catalog->list_jobs({.type = "clean"}, 100)); }
    bool in(const std::string& name, const std::string& key) {
        const bool is_there = store(name).content(key).has_value();
        return is_there && value_of(catalog->find(key))->pool == ids[name];
    }

    SqliteBackend backend;
    std::unique_ptr<Catalog> catalog = backend.open();
    std::map<std::string, PoolId> ids;
    std::map<std::string, std::unique_ptr<FakeDriver>> stores;
    DriverSet drivers{*catalog, "uploads/", [this](const conf::PoolSettings& settings) {
                          return std::make_unique<SharedDriver>(store(settings.name));
                      }};
    std::vector<std::string> told;
    Mover mover{*catalog,
                drivers,
                {.grace_s = 0,
                 .proof_lasts_s = 0,
                 .cache_control = {},
                 .moved = [this](const std::vector<std::string>& keys) { told = keys; }}};
    const std::int64_t now_s = std::time(nullptr);
};

inline std::string kind_of(const JobEnd& end) {
    switch (end.kind) {
        case JobEnd::Kind::done:
            return "done";
        case JobEnd::Kind::relocates:
            return "relocates";
        case JobEnd::Kind::put_off:
            return "put off";
        case JobEnd::Kind::interrupted:
            return "interrupted";
        case JobEnd::Kind::failed:
            return std::string(name_of(end.error->kind));
    }
    return "";
}

}  // namespace tidepool::test
