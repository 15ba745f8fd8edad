// Deletions of images: what belongs to them, and that each is carried to its end.
#include "storage/image_remover.h"

#include "storage/job_control.h"
#include "storage/pending_removals.h"
#include "tests/support/move_bench.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tidepool;
using namespace tidepool::storage;
using test::kind_of;
using test::kOriginal;
using test::kUuid;
using test::MoveBench;
using test::value_of;

namespace {

const Uuid kImage = parse_uuid(kUuid).value();
constexpr std::int64_t kHourS = 3'600;

JobRun take_deletion(MoveBench& bench) {
    return bench.take("delete " + std::to_string(bench.ids["hot"]));
}

}  // namespace

TEST_CASE("image remover: files that no profile names go with the image", "[storage][delete]") {
    MoveBench bench;
    bench.place(kOriginal, "original");
    const std::string folder = "uploads/variants/2026/02/25/";
    const std::string other = folder + "0b1f6c2e-9a7d-4c55-8a3e-1234567890ac_large.jpg";
    bench.store("hot").place(folder + kUuid + "_large.jpg", "of an old profile");
    bench.store("hot").place(folder + kUuid + ".bmp", "of another program");
    bench.store("hot").place(other, "of another image");
    std::vector<std::string> told;
    ImageRemover remover(*bench.catalog, bench.drivers,
                         {.removed = [&](const std::vector<std::string>& keys) {
                             told.insert(told.end(), keys.begin(), keys.end());
                         }});
    value_of(delete_image(*bench.catalog, kImage, "", bench.now_s));
    JobRun run = take_deletion(bench);
    CHECK(kind_of(remover.remove(run)) == "done");
    CHECK(bench.store("hot").size() == 1);
    CHECK(bench.store("hot").content(other));
    CHECK(std::ranges::find(told, folder + kUuid + "_large.jpg") != told.end());
    CHECK(value_of(bench.catalog->find_image(kImage)) == std::nullopt);
}

TEST_CASE("image remover: a deletion is not called off, and is taken up again until it is done",
          "[storage][delete]") {
    MoveBench bench;
    bench.place(kOriginal, "original");
    const JobId id = value_of(delete_image(*bench.catalog, kImage, "", bench.now_s));
    const auto job = [&] { return value_of(bench.catalog->find_job(id)).value(); };
    CHECK_FALSE(value_of(act_on_job(*bench.catalog, job(), JobAction::cancel, bench.now_s)));
    CHECK(job().state == JobRecord::State::queued);
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s)) == 0);

    take_deletion(bench);
    value_of(bench.catalog->fail_job(id, "me", {.error_class = "denied", .text = "x"},
                                     bench.now_s - kHourS + 1));
    // The bytes are there, and are said to be.
    const auto pending = value_of(pending_removals(*bench.catalog));
    CHECK(pending.at(bench.ids["hot"]).deleted.count == 1);
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s)) == 0);  // not at once
    CHECK(job().state == JobRecord::State::failed);
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s + 1)) == 1);
    CHECK(job().state == JobRecord::State::queued);

    take_deletion(bench);
    value_of(bench.catalog->fail_job(id, "me", {.error_class = "poisoned", .text = "x"}, 5));
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s)) == 0);
    CHECK(value_of(bench.catalog->forget_jobs(bench.now_s)) == 0);
    CHECK(value_of(act_on_job(*bench.catalog, job(), JobAction::retry, bench.now_s)));

    // Somebody has lost the job.
    take_deletion(bench);
    value_of(bench.catalog->finish_job(id, "me", bench.now_s));
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s)) == 1);
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s)) == 0);
    JobRun last = take_deletion(bench);
    CHECK(last.job().id != id);
    ImageRemover remover(*bench.catalog, bench.drivers, {});
    CHECK(kind_of(remover.remove(last)) == "done");
    value_of(bench.catalog->finish_job(last.job().id, "me", bench.now_s));
    CHECK(value_of(resume_deletions(*bench.catalog, bench.now_s + 2 * kHourS)) == 0);
}
