#include "storage/image_hold.h"

#include "conf/log.h"
#include "conf/random_name.h"
#include "storage/job_keys.h"
#include "storage/job_owner.h"
#include "storage/job_payload.h"
#include "storage/mover.h"

#include <ctime>
#include <utility>

namespace tidepool::storage {

namespace {

// Longer than one object takes. Where a process dies others see that, and need not wait for it.
constexpr std::int64_t kLeaseS = 3600;
// Until then it is due for nobody, so that it is ours.
constexpr std::int64_t kAheadS = 60;

}  // namespace

ImageHold::ImageHold(Catalog& catalog, JobId job, std::string owner)
    : catalog_(&catalog), job_(job), owner_(std::move(owner)) {}

ImageHold::ImageHold(ImageHold&& other) noexcept
    : catalog_(other.catalog_),
      job_(std::exchange(other.job_, 0)),
      owner_(std::move(other.owner_)) {}

ImageHold::~ImageHold() {
    if (job_ == 0) return;
    const auto finished = catalog_->finish_job(job_, owner_, std::time(nullptr));
    if (!finished)
        conf::log_warn("a hold stays until its lease ends job={} reason=\"{}\"", job_,
                       finished.error().text);
}

Result<std::optional<ImageHold>> ImageHold::take(Catalog& catalog, const KnownPool& pool,
                                                 const ObjectRecord& object, JobId asking) {
    const std::string name = object.image ? to_text(*object.image) : object.key;
    const std::int64_t now_s = std::time(nullptr);
    const std::string lane = "reconcile " + conf::random_name();  // of its own, to be taken alone
    const NewJob job{
        .type = "reconcile",
        .payload = PayloadWriter().add("key", object.key).add("pool", pool.settings.name).text(),
        .dedup_key = clean_key(pool.id, name),
        .not_before_s = now_s + kAheadS,
        .lane = lane};
    const auto queued = catalog.queue_job(job, now_s);
    if (!queued) return std::unexpected(queued.error());
    std::string owner = new_job_owner();
    const Catalog::LaneWant want{.lane = lane};
    const auto taken = catalog.take_jobs({&want, 1}, owner, now_s + kAheadS, kLeaseS);
    if (!taken) return std::unexpected(taken.error());
    const bool is_asking = asking != 0 && *queued == asking;
    if (taken->empty() && !is_asking) return std::optional<ImageHold>();
    std::optional<ImageHold> hold(ImageHold(catalog, is_asking ? 0 : *queued, std::move(owner)));
    // Whoever was at it before does not wait for it.
    const auto cleans = catalog.jobs_named(clean_key(pool.id, name));
    if (!cleans) return std::unexpected(cleans.error());
    for (const JobRecord& other : *cleans)
        if (other.id != *queued && other.id != asking) return std::optional<ImageHold>();
    const auto moves = catalog.jobs_named(move_key(name));
    if (!moves) return std::unexpected(moves.error());
    if (!moves->empty()) return std::optional<ImageHold>();
    return hold;
}

}  // namespace tidepool::storage
