#include "proxy/serve/variant_jobs.h"

#include "conf/log.h"
#include "proxy/serve/variant_maker.h"
#include "storage/job_owner.h"
#include "storage/job_payload.h"
#include "storage/job_policy.h"
#include "storage/retry.h"

#include <algorithm>
#include <ctime>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace tidepool::serve {

namespace {

constexpr std::string_view kType = "variant";
constexpr std::uint64_t kLookMs = 5'000;
// Of one attempt. The lease is longer, so that it need not be renewed.
constexpr conf::Milliseconds kPatience{240'000};
constexpr std::int64_t kLeaseS = 300;
constexpr std::int64_t kFirstRetryS = 2;
}  // namespace

storage::NewJob variant_job(const std::string& key) {
    return {.type = std::string(kType),
            .payload = storage::PayloadWriter().add("key", key).text(),
            .dedup_key = fmt::format("{} {}", kType, key),
            .not_before_s = std::time(nullptr) + kFirstRetryS};
}

VariantJobs::VariantJobs(loop::Loop& loop, Stores& stores, VariantMaker& maker)
    : loop_(loop), stores_(stores), maker_(maker), owner_(storage::new_job_owner()) {}

void VariantJobs::start() {
    loop_.tasks().spawn(run(*this));
}

void VariantJobs::stop() {
    stopping_ = true;
    loop_.post([this] {
        if (pause_ != nullptr) pause_->cut();
    });
}

loop::Task<> VariantJobs::run(VariantJobs& self) {
    while (!self.stopping_) {
        if (const auto job = co_await self.take()) {
            co_await self.work_on(*job);
            continue;
        }
        loop::Loop::Delay pause(self.loop_, kLookMs);
        if (self.stopping_) co_return;
        self.pause_ = &pause;
        co_await pause;
        self.pause_ = nullptr;
    }
}

loop::Task<std::optional<storage::JobRecord>> VariantJobs::take() {
    const storage::Catalog::LaneWant want{.lane = std::string(kType)};
    auto jobs = co_await loop::offload(
        loop_, stores_.catalog_workers(), loop::Lane::bulk,
        [&]() -> Result<std::vector<storage::JobRecord>> {
            // A look first: who asks often should not make writers wait for their turn.
            const auto lanes = stores_.catalog()->open_lanes();
            if (!lanes) return std::unexpected(lanes.error());
            if (std::ranges::find(*lanes, want.lane, &storage::OpenLane::lane) == lanes->end())
                return std::vector<storage::JobRecord>{};
            return stores_.catalog()->take_jobs({&want, 1}, owner_, std::time(nullptr), kLeaseS);
        });
    if (!jobs) conf::log_warn("no job taken reason=\"{}\"", jobs.error().text);
    if (!jobs || jobs->empty()) co_return std::nullopt;
    co_return std::move(jobs->front());
}

loop::Task<> VariantJobs::work_on(const storage::JobRecord& job) {
    const auto key = storage::PayloadReader(job.payload).text("key");
    if (!key) {
        co_await end(job, Error{ErrorKind::invalid, "its payload names no key"});
        co_return;
    }
    const auto outcome = co_await maker_.make(loop_, *key, kPatience, VariantMaker::Again::yes);
    std::optional<Error> error = outcome.error;
    if (outcome.store_error) error = outcome.store_error;
    if (!error && outcome.unstored) error = Error{ErrorKind::timed_out, "it is not stored yet"};
    // The image is gone, or has no such variant any more.
    if (error && error->kind == ErrorKind::not_found) error.reset();
    co_await end(job, error);
}

loop::Task<> VariantJobs::end(const storage::JobRecord& job, const std::optional<Error>& error) {
    const std::int64_t now_s = std::time(nullptr);
    auto ended = co_await loop::offload(
        loop_, stores_.catalog_workers(), loop::Lane::bulk, [&]() -> Result<bool> {
            if (!error) return stores_.catalog()->finish_job(job.id, owner_, now_s);
            storage::JobFailure failure{.error_class = std::string(name_of(error->kind)),
                                        .text = error->text};
            failure.retry_at_s =
                storage::next_attempt_s(*error, job.attempts, now_s, storage::random_part());
            return stores_.catalog()->fail_job(job.id, owner_, failure, now_s);
        });
    if (!ended) {
        conf::log_warn("job not ended id={} reason=\"{}\"", job.id, ended.error().text);
    } else if (!*ended) {
        conf::log_warn("job was somebody else's by its end id={}", job.id);
    }
}

}  // namespace tidepool::serve
